import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { scrubMetrics } from './scrub-metrics.ts'

test('metrics › what the scrubber reads, what was damaged, what failed, and how old the oldest reading is', async () => {
  const registry = new Registry()
  const observe = scrubMetrics(registry)
  assert.doesNotMatch(await registry.metrics(), /^berth_scrub_oldest_timestamp_seconds/m, 'not before it is known')
  observe.read(100)
  observe.read(50)
  observe.damaged()
  observe.failed()
  observe.oldest(new Date(5_000))
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('berth_scrub_'))
  assert.deepEqual(lines, [
    'berth_scrub_blobs_total 2',
    'berth_scrub_bytes_total 150',
    'berth_scrub_damaged_total 1',
    'berth_scrub_failures_total 1',
    'berth_scrub_oldest_timestamp_seconds 5',
  ])
})
