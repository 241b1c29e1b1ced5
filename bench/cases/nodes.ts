/** Several Berths on one PostgreSQL: how much of a manifest read is the database's work. Each with one worker. */
import { readdirSync, readlinkSync } from 'node:fs'
import { mkdir, rm, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { processesOfGroup, processorSecondsOf } from '../../campaigns/program.ts'
import { freePort } from '../../server/test/free-port.ts'
import { type OwnPostgres, onPostgres, postgresSkip, startPostgres } from '../../server/test/postgres.ts'
import { type Case, type Measurement, NotOffered, perSecond, type Round } from '../case.ts'
import { createWire, pushImage } from '../load/wire.ts'
import { type LoadResult, runWrk } from '../load/wrk.ts'
import type { Options } from '../options.ts'
import { berthProcess, openBerth } from '../peers/berth.ts'
import type { Registry } from '../peers/registry.ts'
import { sharedConfig } from '../seed/images.ts'
import { looksAt } from './looks.ts'

const nodes = 4
const repository = 'many/nodes'
const tag = 'v1'
/** What compiles code while it runs needs some seconds. */
const warmUpSeconds = 3

interface Experiment {
  readonly one: Measurement
  readonly all: Measurement
  /** Of the processor time of both, while all nodes are asked: a share. */
  readonly database: number
}

export function nodeCases(options: Options): Case[] {
  const declare = looksAt((registry, round) => experiment(registry, options, round), {
    unit: perSecond('requests'),
    needs: [],
    berthAlone: 'have no database to share',
    noWarmUp: true,
    async check() {
      if (postgresSkip !== false) throw new NotOffered(postgresSkip)
    },
  })
  return [
    declare('nodes/one', 'PostgreSQL: manifest by tag, one node', ({ one }) => one),
    declare('nodes/all', `PostgreSQL: manifest by tag, ${nodes} nodes`, ({ all }) => all),
    declare(
      'nodes/database',
      `PostgreSQL: its share of the processor time of ${nodes} nodes and itself`,
      ({ database }) => ({ value: database * 100 }),
      { unit: { name: '%', better: 'less' }, wanted: [{ kind: 'limit', bound: 'most', value: 25 }] },
    ),
  ]
}

async function experiment(registry: Registry, { berth: source }: Options, round: Round): Promise<Experiment> {
  const own = join(round.folder, `nodes-${round.number}`)
  await mkdir(own)
  await using postgres = await startPostgres()
  const environment = { BERTH_DATABASE: postgres.urlOf('postgres'), BERTH_SECRET_KEY: join(own, 'secret.key') }
  const folders = Array.from({ length: nodes }, (_, index) => join(own, `node-${index}`))
  await shareBlobs(folders)
  const first = await openBerth(registry.kind, { source, workers: 1, environment }, folders[0]!)
  const ports = await Promise.all(Array.from({ length: nodes - 1 }, () => freePort()))
  const others = ports.map((port, index) =>
    berthProcess(port, { source, workers: 1, environment }, folders[index + 1]!),
  )
  try {
    await first.start()
    for (const node of others) await node.start()
    const wire = createWire(first.url, await first.authorize({ repositories: [repository], actions: 'pull,push' }))
    await pushImage(wire, repository, tag, sharedConfig, [])
    wire.close()
    // To all of them the same name, as behind one address.
    const headers = {
      Host: new URL(first.url).host,
      Authorization: (await first.authorize({ repositories: [repository] })) ?? '',
    }
    const ask = (url: string, seconds: number) =>
      runWrk(
        { url, paths: [`/v2/${repository}/manifests/${tag}`], headers, seconds },
        { plan: 0, rest: async () => undefined },
      )
    const urls = [first.url, ...ports.map((port) => `http://127.0.0.1:${port}`)]
    const askAll = (seconds: number) => Promise.all(urls.map((url) => ask(url, seconds)))
    await askAll(warmUpSeconds)
    const one = await ask(first.url, round.seconds)
    const pids = [first, ...others].flatMap(({ group }) => (group === undefined ? [] : processesOfGroup(group)))
    const [databaseBefore, nodesBefore] = [await secondsOf(postgres), processorSecondsOf(pids)]
    const all = await askAll(round.seconds)
    const database = (await secondsOf(postgres)) - databaseBefore
    const berths = processorSecondsOf(pids) - nodesBefore
    return { one: figureOf([one]), all: figureOf(all), database: database / (database + berths) }
  } finally {
    await Promise.all([first, ...others].map((node) => node.stop()))
    await rm(own, { recursive: true, force: true })
  }
}

/** As on a file system that all machines have mounted. */
async function shareBlobs(folders: readonly string[]): Promise<void> {
  const [first, ...others] = folders.map((folder) => join(folder, 'blobs'))
  await mkdir(first!, { recursive: true, mode: 0o700 })
  for (const blobs of others) {
    await mkdir(dirname(blobs), { mode: 0o700 })
    await symlink(first!, blobs)
  }
}

const figureOf = (results: readonly LoadResult[]): Measurement => ({
  value: results.reduce((sum, { requests, seconds }) => sum + requests / seconds, 0),
  p50: Math.max(...results.map(({ p50 }) => p50)),
  p99: Math.max(...results.map(({ p99 }) => p99)),
})

/** Of the server and of those that it has started, all of which work in its data folder. */
async function secondsOf(postgres: OwnPostgres): Promise<number> {
  const { rows } = await onPostgres(postgres.serverOf('postgres'), (client) =>
    client.query<{ data_directory: string }>('show data_directory'),
  )
  const folder = rows[0]?.data_directory
  return processorSecondsOf(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => folderOf(pid) === folder),
  )
}

function folderOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined // it has ended meanwhile
  }
}
