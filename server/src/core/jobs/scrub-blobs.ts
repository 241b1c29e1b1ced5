/** The scrubber in the background: what is damaged is marked, told to the log, and counted. */
import type { Log } from '../../base/log.ts'
import type { Scrubbed, Scrubber } from '../registry/integrity/scrub.ts'
import type { PeriodicJob } from './periodic.ts'

/** What becomes numbers for Prometheus. */
export interface ScrubObserver {
  /** A blob of so many bytes. */
  read(bytes: number): void
  damaged(): void
  failed(): void
  /** When the blob was last read that is next. */
  oldest(moment: Date): void
}

export interface ScrubBlobsParts {
  readonly scrubber: Scrubber
  readonly log: Log
  readonly observe: ScrubObserver
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

/** How often it is looked whether a blob is due: where many are, a run lasts until none is. */
const longestIntervalMs = 10 * 60_000
const intervals = 50

export function scrubBlobs(periodMs: number, { scrubber, log, observe, wait }: ScrubBlobsParts): PeriodicJob {
  function tell(scrubbed: Scrubbed): void {
    const { kind, digest } = scrubbed
    if (kind === 'refused') {
      log.warn({ digest, reason: scrubbed.reason }, 'a stored blob cannot be read')
      return
    }
    observe.read(scrubbed.bytes)
    observe.oldest(new Date(scrubbed.before))
    if (kind === 'right') return
    observe.damaged()
    const { reason, where, elsewhere } = scrubbed
    const repositories = elsewhere > 0 ? [...where, `${elsewhere} more`] : where
    log.error(
      { digest, reason, repositories },
      'a stored blob is damaged; it counts as not there until it is pushed again',
    )
  }

  return {
    name: 'scrub-blobs',
    intervalMs: Math.min(longestIntervalMs, periodMs / intervals),
    async run(signal) {
      try {
        for await (const scrubbed of scrubber.scrub({ periodMs, signal, wait })) tell(scrubbed)
        const oldest = await scrubber.oldest()
        if (oldest !== undefined) observe.oldest(oldest)
      } catch (error) {
        observe.failed()
        throw error
      }
    },
  }
}
