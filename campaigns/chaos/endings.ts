/** How a round ends, and what must be true about the end itself. */
import { setTimeout as pause } from 'node:timers/promises'
import { basic, createClient, NoAnswer } from '../client.ts'
import { type Program, processesOfGroup } from '../program.ts'
import type { Journal } from './journal.ts'

export type Ending = 'kill all' | 'kill a worker' | 'terminate'

/** As often as they stand here. */
export const endings: readonly Ending[] = [
  ...Array.from({ length: 6 }, () => 'kill all' as const),
  'kill a worker',
  'terminate',
]

/**
 * The server goes on with the others, and after a moment has as many as before. A connection that the first process was
 * handing to the victim may be stranded: nobody answers it, and nobody closes it. New ones must be served.
 */
export async function killOneWorker(program: Program, workers: number, journal: Journal, round: number): Promise<void> {
  const victim = processesOfGroup(program.pid).find((pid) => pid !== program.pid)
  if (victim === undefined) throw new Error('there is no worker to kill')
  process.kill(victim, 'SIGKILL')
  let served = false
  for (let tries = 0; tries < 5 && !served; tries++) {
    const client = createClient(program.port, basic(program.username, program.password))
    try {
      served = (await client.ask('GET', '/v2/', { patienceMs: 2_000 })).status === 200
    } catch (error) {
      if (error instanceof NoAnswer) journal.tally.add('connections stranded by the end of a worker')
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
export async function terminate(program: Program, journal: Journal, round: number): Promise<void> {
  const inFlight = journal.inFlightSince(performance.now() - 100)
  const code = await program.terminate()
  if (code !== 0) journal.problems.push(`round ${round}: SIGTERM gave exit code ${code}`)
  for (const request of inFlight) {
    if (request.outcome === 'lost') journal.problems.push(`round ${round}: SIGTERM cut off ${request.what}`)
  }
}
