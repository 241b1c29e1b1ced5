/** Work that is done again and again, by one process at a time of all that share a database. */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { createLease } from './leases.ts'

export interface PeriodicJob {
  /** The lease's name, and what the log calls it. */
  readonly name: string
  readonly intervalMs: number
  /** May be cut short between two steps when the signal says so, and repeated without harm. */
  run(signal: AbortSignal): Promise<void>
}

export interface RunningJob {
  /** Cuts a run short and resolves when it has ended; none begins any more. */
  stop(): Promise<void>
}

export interface Surroundings {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** A run that dies without a word is made up for after this long. */
const leaseMs = 60_000
const renewMs = 20_000
/** A process looks this often, at least, whether it is time. */
const longestWaitMs = 10 * 60_000
const firstWaitMs = 5_000
const retryMs = 60_000

/**
 * Between two runs the lease is kept until the next one is due, so however many processes there are, the work is done once
 * an interval. A run that fails is logged and tried again after a minute, or the interval where that is shorter.
 */
export function startPeriodic(job: PeriodicJob, { db, clock, log, wait = sleep }: Surroundings): RunningJob {
  const ending = new AbortController()
  const lease = createLease(db, clock, job.name, randomUUID())
  // Not all processes at once, and not while the server starts.
  const first = wait(Math.random() * Math.min(job.intervalMs, firstWaitMs), ending.signal)

  async function loop(): Promise<void> {
    await first
    while (!ending.signal.aborted) {
      let waitMs = longestWaitMs
      try {
        await runIfDue()
      } catch (error) {
        waitMs = retryMs
        log.error({ err: error, job: job.name }, 'a background job has failed; it will be tried again')
      }
      await wait(Math.min(job.intervalMs, waitMs), ending.signal)
    }
  }

  async function runIfDue(): Promise<void> {
    if (!(await lease.take(leaseMs))) return
    const began = clock.now()
    const losing = new AbortController()
    const renewal = setInterval(() => {
      lease.keep(leaseMs).then(
        (kept) => kept || losing.abort(),
        (error: unknown) => log.warn({ err: error, job: job.name }, 'a lease could not be renewed'),
      )
    }, renewMs)
    let restMs = Math.min(retryMs, job.intervalMs)
    try {
      await job.run(AbortSignal.any([ending.signal, losing.signal]))
      restMs = ending.signal.aborted ? 0 : Math.max(0, began + job.intervalMs - clock.now())
    } finally {
      clearInterval(renewal)
      await lease.keep(restMs)
    }
  }

  const running = loop()
  return {
    async stop() {
      ending.abort()
      await running
    },
  }
}

/** Ends early, without an error, when the signal says so. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await pause(ms, undefined, { signal, ref: false })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
