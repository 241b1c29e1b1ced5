/** What Prometheus learns of the object store, where blobs are in one. */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { StoreCall } from '../backends/blobs/object-retries.ts'

/** Every try counts, so a call that was repeated is there more than once. */
export function storeMetrics(registry: Registry): (call: StoreCall) => void {
  const registers = [registry]
  const calls = new Counter({
    name: 'berth_object_store_calls_total',
    help: 'Calls to the object store, by kind and outcome.',
    labelNames: ['call', 'outcome'],
    registers,
  })
  const seconds = new Histogram({
    name: 'berth_object_store_call_duration_seconds',
    help: 'How long they took, by kind; of a download, until its first byte.',
    labelNames: ['call'],
    buckets: [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
    registers,
  })
  return ({ call, outcome, seconds: elapsed }) => {
    calls.inc({ call, outcome })
    seconds.observe({ call }, elapsed)
  }
}
