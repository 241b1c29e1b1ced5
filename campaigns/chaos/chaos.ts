/**
 * Rounds of parallel pushes that end in `kill -9` of every process at a random moment (sometimes of one worker only,
 * sometimes in SIGTERM), each followed by a restart and a comparison with what the clients had been promised.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { basic, createClient, NoAnswer } from '../client.ts'
import { createRandom } from '../fuzz/random.ts'
import { type Program, prepareProgram, processesOfGroup } from '../program.ts'
import { createJournal, type Journal } from './journal.ts'
import { pushUntilStopped } from './pusher.ts'
import { verify } from './verify.ts'

export interface ChaosOptions {
  readonly seed: number
  readonly rounds: number
  readonly workers?: number
  readonly pushers?: number
  readonly say?: (line: string) => void
}

export interface ChaosReport {
  readonly seed: number
  readonly rounds: number
  readonly kinds: Readonly<Record<Ending, number>>
  readonly seconds: number
  /** What clients were promised, in all rounds. */
  readonly promised: {
    readonly blobs: number
    readonly manifests: number
    readonly tags: number
    readonly megabytes: number
  }
  readonly resumed: number
  /** Requests without an answer, of which this many turned out to have been carried out. */
  readonly unanswered: number
  readonly carriedOut: number
  /** Connections that nobody served any more after the end of a worker. */
  readonly stranded: number
  readonly problems: readonly string[]
}

export type Ending = 'kill all' | 'kill a worker' | 'terminate'

const leastRoundMs = 250
const mostRoundMs = 1_100

export async function runChaos({ seed, rounds, workers = 2, pushers = 8, say }: ChaosOptions): Promise<ChaosReport> {
  const random = createRandom(seed)
  const started = performance.now()
  const journal = createJournal()
  const kinds: Record<Ending, number> = { 'kill all': 0, 'kill a worker': 0, terminate: 0 }
  await using program = await prepareProgram({ workers, flags: ['--drain-seconds', '20'] })
  await program.start()
  for (let round = 1; round <= rounds; round++) {
    const ending = random.pick<Ending>([
      'kill all',
      'kill all',
      'kill all',
      'kill all',
      'kill all',
      'kill all',
      'kill a worker',
      'terminate',
    ])
    kinds[ending]++
    const at = performance.now()
    const stop = new AbortController()
    const client = createClient(program.port, basic(program.username, program.password))
    const pushing = Array.from({ length: pushers }, (_, index) =>
      pushUntilStopped({ client, journal, random: random.fork(), name: `p${index}`, signal: stop.signal }),
    )
    await pause(random.between(leastRoundMs, mostRoundMs))
    if (ending === 'kill a worker') await killOneWorker(program, workers, journal, round)
    if (ending === 'terminate') await terminate(program, journal, round)
    else await program.killAll()
    stop.abort()
    await Promise.all(pushing)
    client.close()
    const restarting = performance.now()
    await program.start()
    const verifying = performance.now()
    await verify(program, journal, random.fork(), { round, everything: round === rounds })
    const ms = (from: number, to: number) => `${Math.round(to - from)} ms`
    const { blobs, manifests } = journal.promised
    say?.(
      `round ${round}: ${ending}; pushed ${ms(at, restarting)}, restarted ${ms(restarting, verifying)}, verified ${ms(verifying, performance.now())}; so far ${blobs} blobs, ${manifests} manifests, ${journal.problems.length} problems`,
    )
    if (journal.problems.length > 20) break
  }
  const exit = await program.terminate()
  if (exit !== 0) journal.problems.push(`at the end, SIGTERM gave ${exit}`)
  const seconds = (performance.now() - started) / 1000
  const { promised, resumed, unanswered, carriedOut, stranded, problems } = journal
  return { seed, rounds, kinds, seconds, promised, resumed, unanswered, carriedOut, stranded, problems }
}

/**
 * The server goes on with the others, and after a moment has as many as before. A connection that the first process was
 * handing to the victim may be stranded: nobody answers it, and nobody closes it. New ones must be served.
 */
async function killOneWorker(program: Program, workers: number, journal: Journal, round: number): Promise<void> {
  const victim = processesOfGroup(program.pid).find((pid) => pid !== program.pid)
  if (victim === undefined) throw new Error('there is no worker to kill')
  process.kill(victim, 'SIGKILL')
  let served = false
  for (let tries = 0; tries < 5 && !served; tries++) {
    const client = createClient(program.port, basic(program.username, program.password))
    try {
      served = (await client.ask('GET', '/v2/', { patienceMs: 2_000 })).status === 200
    } catch (error) {
      if (error instanceof NoAnswer) journal.stranded++
    }
    client.close()
  }
  if (!served) journal.problems.push(`round ${round}: no new connection is served after the end of a worker`)
  for (let tries = 0; processesOfGroup(program.pid).length < workers + 1; tries++) {
    if (tries > 500) {
      journal.problems.push(`round ${round}: a killed worker was not replaced within ten seconds`)
      return
    }
    await pause(20)
  }
}

/** Whatever was on its way for a while must be answered; then the program ends by itself, with 0. */
async function terminate(program: Program, journal: Journal, round: number): Promise<void> {
  const inFlight = journal.inFlightSince(performance.now() - 100)
  const code = await program.terminate()
  if (code !== 0) journal.problems.push(`round ${round}: SIGTERM gave exit code ${code}`)
  for (const request of inFlight) {
    if (request.outcome === 'lost') journal.problems.push(`round ${round}: SIGTERM cut off ${request.what}`)
  }
}

export function formatReport(report: ChaosReport): string {
  const { promised, kinds } = report
  return [
    `seed ${report.seed}: ${report.rounds} rounds in ${report.seconds.toFixed(0)} s (${Object.entries(kinds)
      .map(([kind, times]) => `${kind}: ${times}`)
      .join(', ')})`,
    `  acknowledged ${promised.blobs} blobs (${promised.megabytes.toFixed(0)} MB), ${promised.manifests} manifests, ${promised.tags} tags; ${report.resumed} uploads resumed`,
    `  ${report.unanswered} requests without an answer, ${report.carriedOut} of them carried out; ${report.stranded} connections stranded by the end of a worker; ${report.problems.length} problems`,
    ...report.problems.map((problem) => `  ${problem}`),
  ].join('\n')
}
