import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { MemoryObjects } from '../../test/memory-objects.ts'
import { ObjectBlobStore } from '../backends/blobs/object-blob-store.ts'
import { ObjectStoreError } from '../backends/blobs/object-store.ts'
import { storeMetrics } from './store-metrics.ts'

test('metrics › calls to an object store are counted by kind and outcome, each try for itself', async () => {
  const registry = new Registry()
  const objects = new MemoryObjects()
  const store = new ObjectBlobStore(objects, { observe: storeMetrics(registry), retries: { pauseMs: 1 } })
  let failing = 2
  objects.before = () => {
    if (failing-- > 0) throw new ObjectStoreError('unreachable', 'ECONNRESET')
  }
  await store.begin()
  const text = await registry.metrics()
  assert.match(text, /^berth_object_store_calls_total\{call="put",outcome="unreachable"\} 2$/m)
  assert.match(text, /^berth_object_store_calls_total\{call="put",outcome="ok"\} 1$/m)
  assert.match(text, /^berth_object_store_call_duration_seconds_count\{call="put"\} 3$/m)
})
