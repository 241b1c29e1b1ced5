import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { collectionMetrics } from './collection-metrics.ts'

test('metrics › collections are counted with what they removed, their time, and when one last went well', async () => {
  const registry = new Registry()
  const observe = collectionMetrics(registry)
  const series = async () => {
    const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('berth_gc_'))
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]),
    )
  }
  observe({ blobs: 3, bytes: 300, seconds: 0.5, failed: true })
  assert.equal('berth_gc_last_run_timestamp_seconds' in (await series()), false, 'not before it is known')
  observe({ blobs: 2, bytes: 50, seconds: 2, failed: false })
  const found = await series()
  assert.equal(found.berth_gc_deleted_blobs_total, 5)
  assert.equal(found.berth_gc_deleted_bytes_total, 350)
  assert.equal(found.berth_gc_failures_total, 1)
  assert.equal(found.berth_gc_duration_seconds_sum, 2.5)
  assert.equal(found.berth_gc_duration_seconds_count, 2)
  assert.ok(Math.abs((found.berth_gc_last_run_timestamp_seconds ?? 0) - Date.now() / 1000) < 60)
})
