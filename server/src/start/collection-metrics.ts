/** What Prometheus learns of garbage collection. One process at a time collects, so `berth_gc_…` sums and newest are right. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { CollectionRun } from '../core/jobs/collect-garbage.ts'

export function collectionMetrics(registry: Registry): (run: CollectionRun) => void {
  const registers = [registry]
  const blobs = new Counter({
    name: 'berth_gc_deleted_blobs_total',
    help: 'Blobs whose bytes were removed because no repository linked them any more.',
    registers,
  })
  const bytes = new Counter({ name: 'berth_gc_deleted_bytes_total', help: 'Bytes of these blobs.', registers })
  const failures = new Counter({
    name: 'berth_gc_failures_total',
    help: 'Collections that ended with an error; the log says which.',
    registers,
  })
  const finished = new Gauge({
    name: 'berth_gc_last_run_timestamp_seconds',
    help: 'When a collection last ended without an error.',
    registers,
    aggregator: 'max',
  })
  finished.remove() // 0 would be a moment in 1970
  const seconds = new Histogram({
    name: 'berth_gc_duration_seconds',
    help: 'How long collections took, those that failed included.',
    buckets: [0.01, 0.1, 1, 10, 100, 1_000, 10_000],
    registers,
  })
  return (run) => {
    blobs.inc(run.blobs)
    bytes.inc(run.bytes)
    seconds.observe(run.seconds)
    if (run.failed) failures.inc()
    else finished.setToCurrentTime()
  }
}
