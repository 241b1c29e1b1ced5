import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '@berth/oci'
import { startTestApp } from '../../../test/app.ts'
import { MemoryObjects } from '../../../test/memory-objects.ts'
import { errorOf } from '../../../test/wire.ts'
import { someBytes } from '../../backends/blobs/blob-store.contract.ts'
import { ObjectBlobStore } from '../../backends/blobs/object-blob-store.ts'
import { ObjectStoreError } from '../../backends/blobs/object-store.ts'

const limits = { partBytes: 1 << 16, minPartBytes: 1 << 14, maxCopyBytes: 1 << 17, maxParts: 100 }
const bytes = someBytes(300_000)
const digest = digestOf('sha256', bytes)

async function start() {
  const objects = new MemoryObjects(limits)
  const blobs = new ObjectBlobStore(objects, { redirects: false, retries: { tries: 2, pauseMs: 1 } })
  const app = await startTestApp({}, { blobs })
  return Object.assign(app, {
    objects,
    goAway() {
      objects.before = () => {
        throw new ObjectStoreError('unreachable', 'ECONNREFUSED')
      }
    },
    comeBack() {
      objects.before = () => undefined
    },
  })
}

async function assertUnavailable(answer: Response): Promise<void> {
  assert.ok(Number(answer.headers.get('retry-after')) > 0)
  await errorOf(answer, 503, 'UNAVAILABLE')
}

describe('while the object store is gone', () => {
  test('an upload answers 503 with Retry-After, and goes on where it was', async () => {
    await using app = await start()
    const begun = await app.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
    const location = begun.headers.get('location') ?? ''
    const patch = (from: number, to: number) => app.fetch(location, { method: 'PATCH', body: bytes.subarray(from, to) })
    assert.equal((await patch(0, 100_000)).status, 202)

    app.goAway()
    await assertUnavailable(await patch(100_000, 300_000))
    const another = await app.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
    assert.equal(another.status, 202, 'a session without bytes is nothing but a name')
    const first = another.headers.get('location') ?? ''
    await assertUnavailable(await app.fetch(first, { method: 'PATCH', body: bytes }))
    const whole = new URLSearchParams({ digest })
    await assertUnavailable(await app.fetch(`${location}?${whole}`, { method: 'PUT', body: bytes.subarray(100_000) }))

    app.comeBack()
    const status = await app.fetch(location)
    assert.equal(status.headers.get('range'), '0-99999')
    assert.equal((await app.fetch(`${first}?${whole}`, { method: 'PUT', body: bytes })).status, 201)
    assert.equal((await patch(100_000, 200_000)).status, 202)
    app.goAway()
    await assertUnavailable(await app.fetch(`${location}?${whole}`, { method: 'PUT', body: bytes.subarray(200_000) }))
    app.comeBack()
    const closed = await app.fetch(`${location}?${whole}`, { method: 'PUT', body: bytes.subarray(200_000) })
    assert.equal(closed.status, 201)
    const pulled = await app.fetch(`/v2/team/app/blobs/${digest}`)
    assert.deepEqual(new Uint8Array(await pulled.arrayBuffer()), bytes)
    assert.equal(app.objects.keys.length, 1)
  })

  test('a finish without bytes answers 503, and the same request succeeds later', async () => {
    await using app = await start()
    const begun = await app.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
    const location = begun.headers.get('location') ?? ''
    assert.equal((await app.fetch(location, { method: 'PATCH', body: bytes })).status, 202)
    const finish = () => app.fetch(`${location}?${new URLSearchParams({ digest })}`, { method: 'PUT' })
    app.goAway()
    await assertUnavailable(await finish())
    app.comeBack()
    assert.equal((await finish()).status, 201)
  })

  test('a download answers 503, and what the database knows is still answered', async () => {
    await using app = await start()
    const query = new URLSearchParams({ digest })
    const pushed = await app.fetch(`/v2/team/app/blobs/uploads/?${query}`, { method: 'POST', body: bytes })
    assert.equal(pushed.status, 201)
    app.goAway()
    await assertUnavailable(await app.fetch(`/v2/team/app/blobs/${digest}`))
    assert.equal((await app.fetch(`/v2/team/app/blobs/${digest}`, { method: 'HEAD' })).status, 200)
    app.comeBack()
    const pulled = await app.fetch(`/v2/team/app/blobs/${digest}`)
    assert.deepEqual(new Uint8Array(await pulled.arrayBuffer()), bytes)
  })
})
