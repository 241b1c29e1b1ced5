import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '@berth/oci'
import { startTestApp } from '../../../test/app.ts'
import { MemoryObjects } from '../../../test/memory-objects.ts'
import { errorOf, rawRequest } from '../../../test/wire.ts'
import { someBytes } from '../../backends/blobs/blob-store.contract.ts'
import { ObjectBlobStore, type ObjectBlobStoreOptions } from '../../backends/blobs/object-blob-store.ts'
import { ObjectStoreError } from '../../backends/blobs/object-store.ts'
import type { Log } from '../../base/log.ts'
import type { Config } from '../../config/config.ts'

const limits = { partBytes: 1 << 20, minPartBytes: 1 << 16, maxCopyBytes: 1 << 24, maxParts: 100 }
const large = someBytes(64 * 1024 + 1)
const small = someBytes(64 * 1024)
const digest = digestOf('sha256', large)
const path = `/v2/samples/docs/blobs/${digest}`

async function startWithLinks(
  options: ObjectBlobStoreOptions = {},
  given: { log?: Log; config?: Partial<Config> } = {},
) {
  const objects = new MemoryObjects(limits)
  const blobs = new ObjectBlobStore(objects, { retries: { tries: 1 }, ...options })
  const app = await startTestApp({}, { blobs, ...given })
  for (const bytes of [large, small]) {
    const query = new URLSearchParams({ digest: digestOf('sha256', bytes) })
    const pushed = await app.fetch(`/v2/samples/docs/blobs/uploads/?${query}`, { method: 'POST', body: bytes })
    assert.equal(pushed.status, 201)
  }
  return Object.assign(app, { objects })
}

describe('GET blob, where the store hands out links', () => {
  test('answers 307 with the link, as ACR does', async () => {
    await using app = await startWithLinks()
    const answer = await app.fetch(path)
    assert.equal(answer.status, 307)
    const hex = digest.slice('sha256:'.length)
    const link = `https://objects.example/blobs/sha256/${hex.slice(0, 2)}/${hex}?ttl=1200&signature=secret`
    assert.equal(answer.headers.get('location'), link)
    assert.equal(answer.headers.get('docker-content-digest'), digest)
    assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8')
    assert.equal(answer.headers.get('cache-control'), 'no-store')
    assert.equal(await answer.text(), `<a href="${link.replace('&', '&amp;')}">Temporary Redirect</a>.\n\n`)
  })

  test('answers 307 to a range too, and 416 to one behind the end', async () => {
    await using app = await startWithLinks()
    const part = await app.fetch(path, { headers: { range: 'bytes=10-19' } })
    assert.equal(part.status, 307)
    await part.body?.cancel()
    await errorOf(await app.fetch(path, { headers: { range: `bytes=${large.length}-` } }), 416, 'RANGE_INVALID')
  })

  test('sends a small blob itself, and answers HEAD, 304 and 412 itself', async () => {
    await using app = await startWithLinks()
    const sent = await app.fetch(`/v2/samples/docs/blobs/${digestOf('sha256', small)}`)
    assert.equal(sent.status, 200)
    assert.deepEqual(new Uint8Array(await sent.arrayBuffer()), small)
    const head = await app.fetch(path, { method: 'HEAD' })
    assert.equal(head.status, 200)
    assert.equal(head.headers.get('content-length'), String(large.length))
    const known = await app.fetch(path, { headers: { 'if-none-match': `"${digest}"` } })
    assert.equal(known.status, 304)
    const changed = await app.fetch(path, { headers: { 'if-match': '"other"' } })
    assert.equal(changed.status, 412)
    await changed.body?.cancel()
  })

  test('sends the blob itself to a client whose condition the store would not understand', async () => {
    await using app = await startWithLinks()
    const answer = await app.fetch(path, { headers: { 'if-match': `"${digest}"` } })
    assert.equal(answer.status, 200)
    assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), large)
  })

  test('sends the blob itself where clients would take their credential along', async () => {
    await using app = await startWithLinks()
    const headers = { host: app.host, authorization: app.admin }
    for (const host of ['localhost:9000', 'store.localhost', 'berth.localhost']) {
      app.objects.link = async () => new URL(`http://${host}/blob?signature=secret`)
      const answer = await rawRequest(app, path, { headers })
      assert.equal(answer.status, 200, host)
      assert.ok(answer.body.equals(large))
    }
    app.objects.link = async () => new URL('http://notlocalhost/blob?signature=secret')
    assert.equal((await rawRequest(app, path, { headers })).status, 307)
  })

  test('sends every blob itself when redirects are turned off', async () => {
    await using app = await startWithLinks({ redirects: false })
    const answer = await app.fetch(path)
    assert.equal(answer.status, 200)
    assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), large)
  })

  test('makes no link for a caller who may not pull, or a repository without the blob', async () => {
    await using app = await startWithLinks()
    app.objects.calls.length = 0
    const stranger = await app.fetch(path, { headers: { authorization: '' } })
    await errorOf(stranger, 401, 'UNAUTHORIZED')
    await errorOf(await app.fetch(path.replace('docs', 'other')), 404, 'BLOB_UNKNOWN')
    assert.deepEqual(app.objects.calls, [])
  })

  test('answers 503 with Retry-After while the store refuses us', async () => {
    await using app = await startWithLinks()
    app.objects.before = () => {
      throw new ObjectStoreError('denied', 'no credentials')
    }
    const answer = await app.fetch(path)
    assert.ok(Number(answer.headers.get('retry-after')) > 0)
    await errorOf(answer, 503, 'UNAVAILABLE')
  })

  test('writes no signature into the log', async () => {
    const lines: string[] = []
    const note = (facts: object, message: string) => void lines.push(JSON.stringify([facts, message]))
    const log: Log = { debug: note, info: note, warn: note, error: note }
    await using app = await startWithLinks({}, { log, config: { log: { level: 'trace', format: 'json' } } })
    await (await app.fetch(path)).text()
    await app.handler.settled()
    assert.ok(
      lines.some((line) => line.includes('307')),
      lines.join('\n'),
    )
    assert.ok(!lines.join('\n').includes('signature'))
  })
})
