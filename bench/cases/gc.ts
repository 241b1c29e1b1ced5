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
/** As many as use up the machine. */
const pushers = 8
/** More than ever push at the same time at half that rate, so that none waits for a connection. */
const connections = 64
const litterRepository = 'litter/bench'
const pushedRepository = 'pushed/bench'

interface Pushes {
  readonly quiet: JobResult
  readonly collecting: JobResult
  readonly deletesPerSecond: number
}

interface Experiment {
  /** Each pusher pushes one image after another: all share the processor, and whatever else runs takes some of theirs. */
  readonly full: Pushes
  /** Pushes arrive at half the rate that was reached so while nothing was collected: what users of a busy server wait. */
  readonly half: Pushes
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
  const rows = (load: keyof Experiment, group: string, words: string) => [
    declare(`${group}/quiet`, `${words}, no collection`, (result) => pushesOf(result[load].quiet)),
    declare(`${group}/collecting`, `${words} beside a collection`, (result) => pushesOf(result[load].collecting), {
      wanted: [{ kind: 'p99AsIn', case: `${group}/quiet`, within: 0.1 }],
    }),
    declare(
      `${group}/deletes`,
      `collection of ${formatCount(garbage)} blobs beside ${words}`,
      (result) => ({ value: result[load].deletesPerSecond }),
      { unit: perSecond('deletes'), wanted: [{ kind: 'limit', bound: 'least', value: 1000 }] },
    ),
  ]
  return [
    ...rows('full', 'gc', `pushes of ${pushedKilobytes} KB`),
    ...rows('half', 'gc/half', `pushes of ${pushedKilobytes} KB at half that rate`),
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
    const full = await pushesBeside(berth, garbage, seconds)
    const { operations, seconds: took } = full.quiet
    return { full, half: await pushesBeside(berth, garbage, seconds, operations / took / 2) }
  } finally {
    await berth.stop()
    await rm(own, { recursive: true, force: true })
  }
}

/** rate: pushes a second; undefined for as many as there can be. */
async function pushesBeside(berth: Berth, garbage: number, seconds: number, rate?: number): Promise<Pushes> {
  await litter(berth, garbage)
  const graceEnds = performance.now() + graceSeconds * 1000
  await push(berth, { seconds: 1 })
  const quiet = await push(berth, { seconds: (rate === undefined ? 2 : 4) * seconds, rate })
  await pause(Math.max(0, graceEnds - performance.now()))
  return { quiet, ...(await collectBesidePushes(berth, garbage, rate)) }
}

async function collectBesidePushes(
  berth: Berth,
  garbage: number,
  rate: number | undefined,
): Promise<Omit<Pushes, 'quiet'>> {
  const before = await countBlobs(berth)
  const from = performance.now()
  const collection = berth.command('gc', '--grace', `${graceSeconds}s`).then(() => (performance.now() - from) / 1000)
  const end = whenOver(collection)
  const [pushed, collected] = await Promise.allSettled([push(berth, { seconds: 600, rate, end }), collection])
  // Pushes that were cut short because the collection failed are not what is to be told.
  if (collected.status === 'rejected') throw collected.reason
  if (pushed.status === 'rejected') throw pushed.reason
  const deletes = before + pushed.value.operations * blobsOfAPush - (await countBlobs(berth))
  if (deletes < garbage) throw new Error(`only ${deletes} of ${garbage} blobs were collected`)
  return { collecting: pushed.value, deletesPerSecond: deletes / collected.value }
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

interface PushOptions {
  readonly seconds: number
  /** Pushes a second; undefined for one after another. */
  readonly rate?: number | undefined
  readonly end?: Promise<void>
}

async function push(berth: Berth, { seconds, rate, end }: PushOptions): Promise<JobResult> {
  return runJob(
    {
      ...{
        kind: 'push',
        repository: pushedRepository,
        layerBytes: pushedKilobytes * 1000,
        style: 'monolithic',
        ...(rate === undefined ? { pushers } : { pushers: connections, perSecond: rate }),
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
