/** What a garbage collection costs the pushes beside it, and how fast it is. On a Berth of its own, with plenty to collect. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Case, type Measurement, NotOffered, perSecond, type Round } from '../case.ts'
import type { JobResult } from '../load/jobs.ts'
import { runJob } from '../load/run-job.ts'
import type { Options } from '../options.ts'
import { type Berth, openBerth } from '../peers/berth.ts'
import type { Registry } from '../peers/registry.ts'
import { formatCount } from '../report/numbers.ts'
import { looksAt } from './looks.ts'
import { portOf } from './ports.ts'

/** Longer than a push takes from its first blob to the manifest that names it. */
const graceSeconds = 10
const pushedKilobytes = 64
const pushers = 8
const litterRepository = 'litter/bench'
const pushedRepository = 'pushed/bench'

interface Experiment {
  readonly quiet: JobResult
  readonly collecting: JobResult
  readonly deletes: number
  readonly collectSeconds: number
}

export function gcCases(options: Options): Case[] {
  const garbage = Math.round(20_000 * options.share)
  const declare = looksAt((registry, round) => experiment(registry, options, garbage, round), {
    unit: perSecond('pushes'),
    needs: [],
    berthAlone: 'collect garbage only while nobody pushes, or not at all here',
    noWarmUp: true,
    check: (registry) => requireGc(registry, options),
  })
  return [
    declare('gc/quiet', `pushes of ${pushedKilobytes} KB, no collection`, ({ quiet }) => pushesOf(quiet)),
    declare(
      'gc/collecting',
      `pushes of ${pushedKilobytes} KB beside a collection`,
      ({ collecting }) => pushesOf(collecting),
      { wanted: [{ kind: 'p99AsIn', case: 'gc/quiet', within: 0.1 }] },
    ),
    declare(
      'gc/deletes',
      `collection of ${formatCount(garbage)} blobs beside pushes`,
      ({ deletes, collectSeconds }) => ({ value: deletes / collectSeconds }),
      { unit: perSecond('deletes'), wanted: [{ kind: 'limit', bound: 'least', value: 1000 }] },
    ),
  ]
}

const pushesOf = ({ operations, seconds, p50, p99 }: JobResult): Measurement => ({
  value: operations / seconds,
  p50,
  p99,
})

async function requireGc(registry: Registry, options: Options): Promise<void> {
  const berth = await openBerth(registry.kind, { source: options.berth, workers: 1 }, join(options.folder, 'unused'))
  const help = await berth.command('gc', '--help')
  if (!help.startsWith('Usage: berth gc')) throw new NotOffered('has no `berth gc` yet')
}

async function experiment(
  registry: Registry,
  { berth: source, workers }: Options,
  garbage: number,
  { folder, number, seconds }: Round,
): Promise<Experiment> {
  const own = join(folder, `gc-${number}`)
  // Nothing is collected but when we say so.
  const environment = { BERTH_GC_INTERVAL: 'off' }
  const berth = await openBerth(registry.kind, { source, workers, environment }, own)
  try {
    await berth.start()
    await litter(berth, garbage)
    const graceEnds = performance.now() + graceSeconds * 1000
    await push(berth, 1)
    const quiet = await push(berth, 2 * seconds)
    await pause(Math.max(0, graceEnds - performance.now()))
    return { quiet, ...(await collectBesidePushes(berth, garbage)) }
  } finally {
    await berth.stop()
    await rm(own, { recursive: true, force: true })
  }
}

async function collectBesidePushes(berth: Berth, garbage: number): Promise<Omit<Experiment, 'quiet'>> {
  const before = await countBlobs(berth)
  const from = performance.now()
  const collection = berth.command('gc', '--grace', `${graceSeconds}s`).then(() => (performance.now() - from) / 1000)
  const [pushed, collected] = await Promise.allSettled([push(berth, 600, whenOver(collection)), collection])
  // Pushes that were cut short because the collection failed are not what is to be told.
  if (collected.status === 'rejected') throw collected.reason
  if (pushed.status === 'rejected') throw pushed.reason
  const [collecting, collectSeconds] = [pushed.value, collected.value]
  const deletes = before + collecting.operations * blobsOfAPush - (await countBlobs(berth))
  if (deletes < garbage) throw new Error(`only ${deletes} of ${garbage} blobs were collected`)
  return { collecting, deletes, collectSeconds }
}

const whenOver = (work: Promise<unknown>): Promise<void> =>
  work.then(
    () => undefined,
    () => undefined,
  )

/** Layer and config. */
const blobsOfAPush = 2

async function litter(berth: Berth, blobs: number): Promise<void> {
  await runJob({
    ...{ kind: 'litter', repository: litterRepository, blobs, pushers: 32, port: portOf(berth), seconds: 600 },
    ...(await authorizationFor(berth, litterRepository)),
  })
}

async function push(berth: Berth, seconds: number, end?: Promise<unknown>): Promise<JobResult> {
  return runJob(
    {
      ...{
        kind: 'push',
        repository: pushedRepository,
        layerBytes: pushedKilobytes * 1000,
        style: 'monolithic',
        pushers,
      },
      ...{ port: portOf(berth), seconds },
      ...(await authorizationFor(berth, pushedRepository)),
    },
    end,
  )
}

async function authorizationFor(berth: Berth, repository: string) {
  const authorization = await berth.authorize({ repositories: [repository], actions: 'pull,push' })
  return authorization === undefined ? {} : { authorization }
}

async function countBlobs({ folder }: Berth): Promise<number> {
  const entries = await readdir(join(folder, 'blobs', 'sha256'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).length
}
