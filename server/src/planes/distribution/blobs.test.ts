import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:http'
import { describe, test } from 'node:test'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { aBlob, anImage, pushBlob, pushImage, pushManifest } from '../../../test/images.ts'
import { errorOf } from '../../../test/wire.ts'

const hello = aBlob('hello world')
const path = `/v2/team/app/blobs/${hello.digest}`

const headersOf = (response: Response, ...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, response.headers.get(name)]))

async function startWithBlob(): Promise<TestApp & AsyncDisposable> {
  const app = await startTestApp()
  await pushBlob(app, 'team/app', hello)
  return app
}

const pull = (app: TestApp, headers: Record<string, string> = {}, method = 'GET') =>
  app.fetch(path, { method, headers })

describe('GET blob', () => {
  test('answers 200 with the bytes, their length and digest', async () => {
    await using app = await startWithBlob()
    const response = await pull(app)
    assert.equal(response.status, 200)
    assert.equal(await response.text(), 'hello world')
    assert.deepEqual(
      headersOf(response, 'content-length', 'content-type', 'docker-content-digest', 'etag', 'accept-ranges'),
      {
        'content-length': '11',
        'content-type': 'application/octet-stream',
        'docker-content-digest': hello.digest,
        etag: `"${hello.digest}"`,
        'accept-ranges': 'bytes',
      },
    )
  })

  test('HEAD has the same headers and no body', async () => {
    await using app = await startWithBlob()
    const [whole, head] = [await pull(app), await pull(app, {}, 'HEAD')]
    const names = [...whole.headers.keys()].filter((name) => !/^(x-ms-.*-id|date|connection|keep-alive)$/.test(name))
    assert.equal(head.status, 200)
    assert.deepEqual(headersOf(head, ...names), headersOf(whole, ...names))
    assert.equal(await head.text(), '')
  })

  test('finds the blob by an encoded name and digest', async () => {
    await using app = await startWithBlob()
    const encoded = `/v2/team%2Fapp/blobs/${encodeURIComponent(hello.digest)}`
    assert.equal(await (await app.fetch(encoded)).text(), 'hello world')
    assert.equal(await (await app.fetch(encoded.replaceAll('%3A', '%3a').replace('%2F', '%2f'))).text(), 'hello world')
  })

  test('sends a blob of many chunks as it is', async () => {
    await using app = await startTestApp()
    const blob = aBlob(randomBytes(3 * 1024 * 1024 + 17))
    await pushBlob(app, 'team/app', blob)
    const response = await app.fetch(`/v2/team/app/blobs/${blob.digest}`)
    assert.ok(blob.bytes.equals(Buffer.from(await response.arrayBuffer())))
  })

  test('a client that stops reading harms nobody', async () => {
    await using app = await startTestApp()
    const blob = aBlob(randomBytes(8 * 1024 * 1024))
    await pushBlob(app, 'team/app', blob)
    const request = get(`http://127.0.0.1:${app.port}/v2/team/app/blobs/${blob.digest}`, {
      headers: { authorization: app.admin },
    })
    const [answer] = await once(request, 'response')
    await once(answer, 'readable')
    request.destroy()
    assert.equal((await app.fetch(`/v2/team/app/blobs/${blob.digest}`)).status, 200)
  })

  for (const [what, of] of [
    ['a digest that is nowhere', () => path.replace(hello.digest, aBlob('nowhere').digest)],
    ['a repository that does not exist', () => path.replace('team/app', 'team/none')],
    ['the same content under sha512', () => path.replace(hello.digest, aBlob('hello world', '', 'sha512').digest)],
  ] as const) {
    test(`answers 404 BLOB_UNKNOWN for ${what}`, async () => {
      await using app = await startWithBlob()
      const { message } = await errorOf(await app.fetch(of()), 404, 'BLOB_UNKNOWN')
      assert.equal(message, 'blob unknown to registry')
      const head = await app.fetch(of(), { method: 'HEAD' })
      assert.equal(head.status, 404)
      assert.ok(Number(head.headers.get('content-length')) > 0)
    })
  }

  test("does not show another repository's blob", async () => {
    await using app = await startWithBlob()
    await pushBlob(app, 'team/other', aBlob('something else'))
    await errorOf(await app.fetch(path.replace('team/app', 'team/other')), 404, 'BLOB_UNKNOWN')
  })

  for (const digest of ['sha256:abc', 'latest', `sha1:${'a'.repeat(40)}`, hello.digest.toUpperCase()]) {
    test(`answers 400 DIGEST_INVALID for ${digest.slice(0, 20)}`, async () => {
      await using app = await startTestApp()
      await errorOf(await app.fetch(`/v2/team/app/blobs/${digest}`), 400, 'DIGEST_INVALID')
    })
  }
})

describe('GET blob, part of it', () => {
  for (const [range, expected, part] of [
    ['bytes=0-4', 'bytes 0-4/11', 'hello'],
    ['bytes=6-', 'bytes 6-10/11', 'world'],
    ['bytes=-5', 'bytes 6-10/11', 'world'],
    ['bytes=0-4194303', 'bytes 0-10/11', 'hello world'],
    ['bytes=10-10', 'bytes 10-10/11', 'd'],
    ['bytes=-100', 'bytes 0-10/11', 'hello world'],
  ] as const) {
    test(`${range} › 206 ${expected}`, async () => {
      await using app = await startWithBlob()
      const response = await pull(app, { range })
      assert.equal(response.status, 206)
      assert.equal(await response.text(), part)
      assert.deepEqual(headersOf(response, 'content-range', 'content-length', 'docker-content-digest'), {
        'content-range': expected,
        'content-length': String(part.length),
        'docker-content-digest': hello.digest,
      })
    })
  }

  for (const range of ['bytes=11-', 'bytes=100-200', 'bytes=-0', 'bytes=5-3']) {
    test(`${range} › 416 with the size`, async () => {
      await using app = await startWithBlob()
      const response = await pull(app, { range })
      assert.equal(response.status, 416)
      assert.equal(response.headers.get('content-range'), 'bytes */11')
    })
  }

  for (const range of ['17-', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=-']) {
    test(`${range} › is ignored`, async () => {
      await using app = await startWithBlob()
      const response = await pull(app, { range })
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('content-range'), null)
      assert.equal(await response.text(), 'hello world')
    })
  }

  test('HEAD ignores the range', async () => {
    await using app = await startWithBlob()
    const response = await pull(app, { range: 'bytes=0-4' }, 'HEAD')
    assert.deepEqual([response.status, response.headers.get('content-length')], [200, '11'])
  })

  for (const [what, value, status] of [
    ['the digest', `"${hello.digest}"`, 206],
    ['another digest', `"${aBlob('x').digest}"`, 200],
    ['a weak tag', `W/"${hello.digest}"`, 200],
    ['a date', 'Wed, 21 Oct 2026 07:28:00 GMT', 200],
  ] as const) {
    test(`If-Range with ${what} › ${status}`, async () => {
      await using app = await startWithBlob()
      const response = await pull(app, { range: 'bytes=0-4', 'if-range': value })
      assert.equal(response.status, status)
    })
  }
})

describe('GET blob, on a condition', () => {
  for (const [name, value, status] of [
    ['if-none-match', `"${hello.digest}"`, 304],
    ['if-none-match', hello.digest, 304],
    ['if-none-match', `W/"${hello.digest}"`, 304],
    ['if-none-match', `"x", "${hello.digest}"`, 304],
    ['if-none-match', '*', 304],
    ['if-none-match', '"x"', 200],
    ['if-match', `"${hello.digest}"`, 200],
    ['if-match', '*', 200],
    ['if-match', '"x"', 412],
  ] as const) {
    test(`${name}: ${value} › ${status}`, async () => {
      await using app = await startWithBlob()
      for (const method of ['GET', 'HEAD']) {
        const response = await pull(app, { [name]: value }, method)
        assert.equal(response.status, status, method)
        if (status === 304) {
          assert.equal(response.headers.get('etag'), `"${hello.digest}"`)
          assert.equal(await response.text(), '')
        }
      }
    })
  }
})

describe('DELETE blob', () => {
  const remove = (app: TestApp) => app.fetch(path, { method: 'DELETE' })

  test('answers 202 with the digest, and the blob is gone', async () => {
    await using app = await startWithBlob()
    const response = await remove(app)
    assert.equal(response.status, 202)
    assert.equal(response.headers.get('docker-content-digest'), hello.digest)
    assert.equal((await pull(app)).status, 404)
    assert.equal((await pull(app, {}, 'HEAD')).status, 404)
    await errorOf(await remove(app), 404, 'BLOB_UNKNOWN')
  })

  test("leaves other repositories' blob alone", async () => {
    await using app = await startWithBlob()
    await pushBlob(app, 'team/other', hello)
    assert.equal((await remove(app)).status, 202)
    assert.equal((await app.fetch(path.replace('team/app', 'team/other'))).status, 200)
  })

  test('a deleted blob can be pushed again', async () => {
    await using app = await startWithBlob()
    await remove(app)
    await pushBlob(app, 'team/app', hello)
    assert.equal(await (await pull(app)).text(), 'hello world')
  })

  test('answers 405 while a manifest names the blob, and 202 after that is gone', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushImage(app, 'team/app', image, 'v1')
    for (const blob of [image.config, ...image.layers]) {
      const response = await app.fetch(`/v2/team/app/blobs/${blob.digest}`, { method: 'DELETE' })
      const { detail } = await errorOf(response, 405, 'UNSUPPORTED')
      assert.deepEqual(detail, { digest: blob.digest, manifest: image.manifest.digest })
    }
    await app.fetch(`/v2/team/app/manifests/${image.manifest.digest}`, { method: 'DELETE' })
    for (const blob of [image.config, ...image.layers]) {
      assert.equal((await app.fetch(`/v2/team/app/blobs/${blob.digest}`, { method: 'DELETE' })).status, 202)
    }
  })

  test("another repository's manifest does not hold the blob", async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushImage(app, 'team/app', image, 'v1')
    for (const blob of [image.config, ...image.layers]) await pushBlob(app, 'team/other', blob)
    const layer = `/v2/team/other/blobs/${image.layers[0]?.digest}`
    assert.equal((await app.fetch(layer, { method: 'DELETE' })).status, 202)
    await pushManifest(app, 'team/app', image.manifest, 'v2')
  })
})
