/**
 * Waves of small races: a push, a mount or a manifest against a deletion, while garbage collection, which waits for nothing
 * here, takes whatever is without a name at that moment. After each wave a model says what must be there and what must not.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { fsckProblems, refuseSparseManifests } from '../cli.ts'
import { basic, type Client } from '../client.ts'
import { createRandom } from '../fuzz/random.ts'
import { prepareProgram } from '../program.ts'
import { type Report, Tally, troubles } from '../report.ts'
import { connectSpread } from '../spread.ts'
import { damagedBlobs, storedBlobs } from '../stored.ts'
import { createLedger } from './ledger.ts'
import { manifestRaces } from './manifest-races.ts'
import { mountRaces } from './mount-races.ts'
import { pushRaces } from './push-races.ts'
import type { Scenario } from './scenario.ts'
import type { Stage } from './stage.ts'

export interface RacesOptions {
  readonly seed: number
  readonly rounds: number
  readonly workers: number
  /** Races at one time. */
  readonly wave: number
  /** Whether garbage is collected, every second and without a grace. */
  readonly collecting: boolean
  readonly say?: (line: string) => void
}

const scenarios = [...pushRaces, ...mountRaces, ...manifestRaces]
const connections = 16
const popularCount = 20
/** The races of a wave begin within one of these: a collection every second meets each long one, in short ones all wait for each other. */
const spreadsMs = [1_100, 50]
const problemsEnough = 20
const collectWithinMs = 60_000

export async function runRaces({ seed, rounds, workers, wave, collecting, say }: RacesOptions): Promise<Report> {
  const started = performance.now()
  const random = createRandom(seed)
  const tally = new Tally()
  const problems: string[] = []
  const ledger = createLedger()
  const flags = collecting ? ['--gc-interval', '1s', '--gc-grace', '0s'] : ['--gc-interval', 'off']
  await using program = await prepareProgram({ workers, flags })
  await program.start()
  await refuseSparseManifests(program)
  const clients = await connectSpread(program, basic(program.username, program.password), connections)
  for (let done = 0; done < rounds && problems.length < problemsEnough; done += wave) {
    const count = Math.min(wave, rounds - done)
    const popular = Array.from({ length: popularCount }, () => Buffer.alloc(5_000, random.bytes(64)))
    const spreadMs = spreadsMs[(done / wave) % spreadsMs.length]!
    await Promise.all(
      Array.from({ length: count }, (_, lane) => {
        const number = done + lane
        const scenario = scenarios[number % scenarios.length]!
        const wrong = (problem: string) => void problems.push(`round ${number}, ${scenario.title}: ${problem}`)
        const stage: Stage = {
          ...{ random: random.fork(), popular, tally, collecting, ledger, wrong },
          ...{ here: pickAt(clients, lane), there: pickAt(clients, lane + 1) },
          ...{ from: `races/r${number}/from`, to: `races/r${number}/to` },
        }
        return play(scenario, stage, spreadMs)
      }),
    )
    problems.push(...(await ledger.verify(pickAt(clients, 0), 'newest')))
    say?.(`${done + count} rounds, ${ledger.size} manifests accounted for, ${problems.length} problems`)
  }
  problems.push(...(await ledger.verify(pickAt(clients, 0), 'all')))
  tally.add('manifests accounted for', ledger.size)
  if (collecting && problems.length === 0) problems.push(...(await neverCollected(program.dataFolder, ledger.named())))
  for (const client of clients) client.close()
  const exit = await program.terminate()
  if (exit !== 0) problems.push(`SIGTERM gave ${exit}`)
  problems.push(...(await damagedBlobs(program.dataFolder)), ...(await fsckProblems(program)), ...troubles(program.log))
  if (problems.length === 0) problems.push(...tally.missing(leastOf(rounds, collecting)))
  const seconds = (performance.now() - started) / 1000
  return { title: 'races', seed, seconds, counts: tally.counts, notes: [], problems }
}

async function play(scenario: Scenario, stage: Stage, spreadMs: number): Promise<void> {
  try {
    // The race is run at once, or when what was prepared has lain there for a while and may be taken.
    const moment = stage.random.integer(spreadMs)
    const isFresh = stage.random.chance(0.5)
    if (isFresh) await pause(moment)
    const race = await scenario.prepare(stage)
    if (!isFresh) await pause(moment)
    await race()
    stage.tally.add(`rounds, ${scenario.title}`)
  } catch (error) {
    stage.wrong((error as Error).message)
  }
}

/** Waits until the disk has nothing that no manifest names. */
async function neverCollected(dataFolder: string, named: ReadonlySet<string>): Promise<string[]> {
  const deadline = performance.now() + collectWithinMs
  for (;;) {
    const extra = (await storedBlobs(dataFolder)).filter((digest) => !named.has(digest))
    if (extra.length === 0) return []
    if (performance.now() > deadline) return [`${extra.length} blobs are never collected: ${extra.slice(0, 5)}`]
    await pause(500)
  }
}

function leastOf(rounds: number, collecting: boolean): Record<string, number> {
  const each = Math.floor(rounds / scenarios.length)
  return {
    ...Object.fromEntries(scenarios.map(({ title }) => [`rounds, ${title}`, each])),
    'manifests accounted for': rounds / 2,
    'the mount was first': 1,
    'the deletion was before the mount': 1,
    'the manifest was before the deletion of its blob': 1,
    'the deletion was before the manifest': 1,
    ...(collecting ? { 'blobs collected under a push': 1 } : {}),
  }
}

const pickAt = (clients: readonly Client[], index: number): Client => clients[index % clients.length]!
