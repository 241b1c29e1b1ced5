/** Garbage collection in the background, together with other rows that are of no use any more. */
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { forgetOldFailures } from '../access/login-throttle.ts'
import type { Collector } from '../registry/collection/collect.ts'
import { Tally } from '../registry/collection/tally.ts'
import type { PeriodicJob } from './periodic.ts'

export interface CollectGarbageOptions {
  readonly intervalMs: number
  readonly graceMs: number
  readonly uploadExpiryMs: number
}

/** What a run has done, also one that was cut short or has failed. */
export interface CollectionRun {
  /** Whose bytes have gone. */
  readonly blobs: number
  /** Of these blobs. */
  readonly bytes: number
  readonly seconds: number
  readonly failed: boolean
}

export interface CollectGarbageParts {
  readonly db: Database
  readonly clock: Clock
  readonly log: Log
  readonly collector: Collector
  readonly observe: (run: CollectionRun) => void
}

export function collectGarbage(
  { intervalMs, ...limits }: CollectGarbageOptions,
  { db, clock, log, collector, observe }: CollectGarbageParts,
): PeriodicJob {
  return {
    name: 'collect-garbage',
    intervalMs,
    async run(signal) {
      const began = performance.now()
      const tally = new Tally()
      let failed = true
      try {
        while (!signal.aborted && (await forgetOldFailures(db, clock))) {
          // In small transactions.
        }
        for await (const gone of collector.collect({ ...limits, signal })) tally.add(gone)
        failed = false
      } finally {
        const seconds = (performance.now() - began) / 1000
        const { entries: blobs, bytes } = tally.of('unlinked blob')
        observe({ blobs, bytes, seconds, failed })
        const removed = Object.fromEntries(tally.list().map(({ reason, entries }) => [reason, entries]))
        if (tally.total().entries > 0)
          log.info({ removed, bytes: tally.total().bytes, seconds }, 'garbage was collected')
      }
    },
  }
}
