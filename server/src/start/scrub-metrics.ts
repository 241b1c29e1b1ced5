/** What Prometheus learns of the scrubber. One process at a time scrubs, so sums and newest are right. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { ScrubObserver } from '../core/jobs/scrub-blobs.ts'

export function scrubMetrics(registry: Registry): ScrubObserver {
  const registers = [registry]
  const blobs = new Counter({
    name: 'berth_scrub_blobs_total',
    help: 'Stored blobs that were read and hashed in the background.',
    registers,
  })
  const bytes = new Counter({ name: 'berth_scrub_bytes_total', help: 'Bytes of these blobs.', registers })
  const damaged = new Counter({
    name: 'berth_scrub_damaged_total',
    help: 'Of these, blobs whose bytes were wrong or gone; the log says which.',
    registers,
  })
  const failures = new Counter({
    name: 'berth_scrub_failures_total',
    help: 'Readings in the background that ended with an error; the log says which.',
    registers,
  })
  const oldest = new Gauge({
    name: 'berth_scrub_oldest_timestamp_seconds',
    help: 'When the blob was last found right that waits for longest; should not be longer ago than --scrub.',
    registers,
    aggregator: 'max',
  })
  oldest.remove() // 0 would be a moment in 1970
  return {
    read(size) {
      blobs.inc()
      bytes.inc(size)
    },
    damaged: () => damaged.inc(),
    failed: () => failures.inc(),
    oldest: (moment) => oldest.set(moment.getTime() / 1000),
  }
}
