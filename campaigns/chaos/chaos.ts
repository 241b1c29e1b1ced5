/**
 * Rounds of parallel pushes, mounts and deletions that end in `kill -9` of every process at a random moment (sometimes of
 * one worker only, sometimes in SIGTERM), each followed by a restart and a comparison with what the clients had been promised.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { refuseSparseManifests } from '../cli.ts'
import { basic, createClient } from '../client.ts'
import { createRandom } from '../fuzz/random.ts'
import { prepareProgram } from '../program.ts'
import type { Report } from '../report.ts'
import { popularContents } from './blobs.ts'
import { lookAtDisk } from './disk.ts'
import { type Ending, endings, killOneWorker, terminate } from './endings.ts'
import { createJournal, type Journal } from './journal.ts'
import { changeUntilStopped } from './pusher.ts'
import { verify } from './verify.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly rounds: number
  readonly workers?: number
  readonly pushers?: number
  /** Garbage is collected every second, and at once: what no manifest names may go at any moment. */
  readonly collecting?: boolean
  /** How long all garbage, also that of uploads which a kill has cut off, is waited for at the end; 0: it is not judged. */
  readonly tidySeconds?: number
  readonly say?: (line: string) => void
}

const leastRoundMs = 250
const mostRoundMs = 1_100
const problemsEnough = 20

export async function runChaos(options: ChaosOptions): Promise<Report> {
  const { seed, rounds, workers = 2, pushers = 8, collecting = true, tidySeconds = 0, say } = options
  const random = createRandom(seed)
  const started = performance.now()
  const journal = createJournal(collecting)
  const { tally, problems } = journal
  const popular = popularContents(random.fork())
  const flags = collecting
    ? ['--gc-interval', '1s', '--gc-grace', '0s', '--upload-expiry', '1m']
    : ['--gc-interval', 'off']
  await using program = await prepareProgram({ workers, flags: ['--drain-seconds', '20', ...flags] })
  await program.start()
  await refuseSparseManifests(program)
  for (let round = 1; round <= rounds && problems.length < problemsEnough; round++) {
    const ending = random.pick<Ending>(endings)
    tally.add(`rounds, ${ending}`)
    const at = performance.now()
    const stop = new AbortController()
    const client = createClient(program.port, basic(program.username, program.password))
    const changing = Array.from({ length: pushers }, (_, index) => {
      const repository = journal.repository(`chaos/p${index}`)
      return changeUntilStopped({ client, journal, random: random.fork(), repository, popular }, stop.signal)
    })
    await pause(random.between(leastRoundMs, mostRoundMs))
    if (ending === 'kill a worker') await killOneWorker(program, workers, journal, round)
    if (ending === 'terminate') await terminate(program, journal, round)
    else await program.killAll()
    stop.abort()
    await Promise.all(changing)
    client.close()
    const restarting = performance.now()
    await program.start()
    const verifying = performance.now()
    await verify(program, journal, random.fork(), { round, everything: round === rounds })
    const ms = (from: number, to: number) => `${Math.round(to - from)} ms`
    say?.(
      `round ${round}: ${ending}; changed ${ms(at, restarting)}, restarted ${ms(restarting, verifying)}, verified ${ms(verifying, performance.now())}; so far ${tally.counts['manifests acknowledged'] ?? 0} manifests, ${tally.counts['manifests deleted'] ?? 0} deleted, ${problems.length} problems`,
    )
  }
  if (problems.length === 0) problems.push(...(await lookAtDisk(program, journal, tidySeconds)))
  if (problems.length === 0) problems.push(...tally.missing(leastOf(rounds, journal)))
  const seconds = (performance.now() - started) / 1000
  return { title: 'chaos', seed, seconds, counts: tally.counts, notes: [], problems }
}

function leastOf(rounds: number, { collecting }: Journal): Record<string, number> {
  return {
    ...Object.fromEntries(endings.map((ending) => [`rounds, ${ending}`, Math.floor(rounds / 50)])),
    'manifests acknowledged': rounds,
    'manifests deleted': rounds / 10,
    'tags deleted': rounds / 10,
    'blobs deleted': rounds / 20,
    'deletions of blobs in use refused': rounds / 20,
    mounts: rounds / 10,
    'requests without an answer': rounds / 2,
    'uploads resumed': Math.floor(rounds / 5),
    ...(collecting ? { 'blobs found collected': rounds / 2 } : {}),
  }
}
