import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { describe, test } from 'node:test'
import { digestOf } from '@berth/oci'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { aBlob, anImage, pushBlob, pushImage } from '../../../test/images.ts'
import { bearer, errorOf, rawRequest, tokenFor } from '../../../test/wire.ts'

const uploads = '/v2/team/app/blobs/uploads/'

async function begin(app: TestApp, path = uploads): Promise<string> {
  const response = await app.fetch(path, { method: 'POST' })
  assert.equal(response.status, 202, await response.text())
  return response.headers.get('location') ?? ''
}

const patch = (app: TestApp, location: string, body: string | Uint8Array, range?: string) =>
  app.fetch(location, {
    method: 'PATCH',
    body: Buffer.from(body as Uint8Array),
    headers: {
      'content-type': 'application/octet-stream',
      ...(range === undefined ? {} : { 'content-range': range }),
    },
  })

const put = (app: TestApp, location: string, digest: string, body?: string, range?: string) =>
  app.fetch(`${location}?digest=${digest}`, {
    method: 'PUT',
    ...(body === undefined ? {} : { body }),
    headers: range === undefined ? {} : { 'content-range': range },
  })

async function contentOf(app: TestApp, digest: string, repository = 'team/app'): Promise<string> {
  const response = await app.fetch(`/v2/${repository}/blobs/${digest}`)
  assert.equal(response.status, 200)
  return response.text()
}

/** What a session's headers say: where it goes on, how far it is, and its name. */
function progress(response: Response) {
  const { headers } = response
  return {
    location: headers.get('location'),
    range: headers.get('range'),
    session: headers.get('docker-upload-uuid'),
  }
}

const hello = aBlob('hello world')

describe('POST blobs/uploads/', () => {
  test('answers 202 with a relative location without a query, the range 0-0 and the name of the session', async () => {
    await using app = await startTestApp()
    const response = await app.fetch(uploads, { method: 'POST' })
    assert.equal(response.status, 202)
    assert.equal(await response.text(), '')
    assert.equal(response.headers.get('content-length'), '0')
    const { location, range, session } = progress(response)
    assert.match(session ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8?[0-9a-f]{3,4}-[0-9a-f]{12}$/)
    assert.equal(location, `${uploads}${session}`)
    assert.equal(range, '0-0')
  })

  test('works without the trailing slash and with an encoded name, and names the session in the same way', async () => {
    await using app = await startTestApp()
    for (const path of ['/v2/team/app/blobs/uploads', '/v2/team%2Fapp/blobs/uploads/']) {
      assert.match(await begin(app, path), /^\/v2\/team\/app\/blobs\/uploads\/[^/]+$/)
    }
  })

  test('gives every session another name', async () => {
    await using app = await startTestApp()
    const names = new Set(await Promise.all(Array.from({ length: 20 }, () => begin(app))))
    assert.equal(names.size, 20)
  })

  test('shows no repository before anything is in it', async () => {
    await using app = await startTestApp()
    await begin(app)
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: [] })
  })

  test('answers 400 NAME_INVALID for a name with capitals', async () => {
    await using app = await startTestApp()
    const { detail } = await errorOf(
      await app.fetch('/v2/Team/blobs/uploads/', { method: 'POST' }),
      400,
      'NAME_INVALID',
    )
    assert.deepEqual(detail, { name: 'Team' })
  })

  test('takes the digest algorithms it knows and refuses others', async () => {
    await using app = await startTestApp()
    await begin(app, `${uploads}?digest-algorithm=sha512`)
    const response = await app.fetch(`${uploads}?digest-algorithm=md5`, { method: 'POST' })
    await errorOf(response, 400, 'DIGEST_INVALID')
  })
})

describe('POST blobs/uploads/?digest=', () => {
  test('stores the body in one request', async () => {
    await using app = await startTestApp()
    const response = await app.fetch(`${uploads}?digest=${hello.digest}`, { method: 'POST', body: hello.bytes })
    assert.equal(response.status, 201)
    assert.equal(response.headers.get('location'), `/v2/team/app/blobs/${hello.digest}`)
    assert.equal(response.headers.get('docker-content-digest'), hello.digest)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })

  test('stores an empty blob', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', aBlob(''))
    assert.equal(await contentOf(app, aBlob('').digest), '')
  })

  test('answers 400 DIGEST_INVALID when the body is another one, and keeps nothing', async () => {
    await using app = await startTestApp()
    const response = await app.fetch(`${uploads}?digest=${hello.digest}`, { method: 'POST', body: 'something else' })
    const { message, detail } = await errorOf(response, 400, 'DIGEST_INVALID')
    assert.equal(message, 'provided digest did not match uploaded content')
    assert.deepEqual(detail, { expected: hello.digest, actual: aBlob('something else').digest })
    assert.equal((await app.fetch(`/v2/team/app/blobs/${hello.digest}`)).status, 404)
    assert.deepEqual(await sessionsOf(app), [])
  })

  for (const digest of ['', 'sha256:abc', `sha256:${'A'.repeat(64)}`, `md5:${'a'.repeat(32)}`, 'latest']) {
    test(`answers 400 DIGEST_INVALID for the digest "${digest}"`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch(`${uploads}?digest=${digest}`, { method: 'POST', body: 'x' })
      await errorOf(response, 400, 'DIGEST_INVALID')
    })
  }

  test('a repeated push is 201 again', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    await pushBlob(app, 'team/app', hello)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })
})

const sessionsOf = (app: TestApp) =>
  app.db.read((tables) => tables.selectFrom('upload_sessions').select('id').execute())

describe('upload session', () => {
  test('POST, PATCH, PUT › the blob is readable afterwards, and the session is gone', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const patched = await patch(app, location, hello.bytes)
    assert.equal(patched.status, 202)
    assert.equal(await patched.text(), '')
    assert.deepEqual(progress(patched), { location, range: '0-10', session: location.split('/').at(-1) })
    const finished = await put(app, location, hello.digest)
    assert.equal(finished.status, 201)
    assert.equal(await finished.text(), '')
    assert.equal(finished.headers.get('location'), `/v2/team/app/blobs/${hello.digest}`)
    assert.equal(finished.headers.get('docker-content-digest'), hello.digest)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
    await errorOf(await app.fetch(location), 404, 'BLOB_UPLOAD_INVALID')
  })

  test('POST, PUT › the body of the PUT is the blob', async () => {
    await using app = await startTestApp()
    assert.equal((await put(app, await begin(app), hello.digest, 'hello world')).status, 201)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })

  test('POST, PUT without a body › the empty blob', async () => {
    await using app = await startTestApp()
    const empty = aBlob('')
    assert.equal((await put(app, await begin(app), empty.digest)).status, 201)
    assert.equal(await contentOf(app, empty.digest), '')
  })

  test('pieces without a range are joined in their order, the last one in the PUT', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    for (const piece of ['hel', 'lo ', 'wor']) assert.equal((await patch(app, location, piece)).status, 202)
    assert.equal((await put(app, location, hello.digest, 'ld')).status, 201)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })

  test('chunks with ranges are joined, also with a range on the PUT', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    assert.equal((await patch(app, location, 'hello', '0-4')).headers.get('range'), '0-4')
    assert.equal((await patch(app, location, ' wor', '5-8')).headers.get('range'), '0-8')
    assert.equal((await put(app, location, hello.digest, 'ld', '9-10')).status, 201)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })

  test('a range may be spelled as in HTTP', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    assert.equal((await patch(app, location, 'hello', 'bytes 0-4/11')).status, 202)
    assert.equal((await patch(app, location, ' world', 'bytes=5-10/*')).status, 202)
    assert.equal((await put(app, location, hello.digest)).status, 201)
  })

  test('the content type of a chunk does not matter', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const headers = { 'content-type': 'application/x-tar' }
    assert.equal((await app.fetch(location, { method: 'PATCH', body: 'hello world', headers })).status, 202)
    assert.equal((await put(app, location, hello.digest)).status, 201)
  })

  test('a body without a length is taken', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const parts = [randomBytes(70_000), randomBytes(1), randomBytes(300_000)]
    const body = new ReadableStream({
      start(controller) {
        for (const part of parts) controller.enqueue(part)
        controller.close()
      },
    })
    const response = await app.fetch(location, { method: 'PATCH', body, duplex: 'half' } as RequestInit)
    assert.equal(response.status, 202)
    assert.equal(response.headers.get('range'), '0-370000')
    assert.equal((await put(app, location, digestOf('sha256', Buffer.concat(parts)))).status, 201)
  })

  test('a PUT with a body without a length is taken', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const body = new Blob(['hello world']).stream()
    const init = { method: 'PUT', body, duplex: 'half' } as RequestInit
    assert.equal((await app.fetch(`${location}?digest=${hello.digest}`, init)).status, 201)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })

  test('GET › 204 with the range so far', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const session = location.split('/').at(-1)
    const fresh = await app.fetch(location)
    assert.equal(fresh.status, 204)
    assert.deepEqual(progress(fresh), { location, range: '0-0', session })
    await patch(app, location, 'hello')
    assert.deepEqual(progress(await app.fetch(location)), { location, range: '0-4', session })
    assert.equal((await app.fetch(location, { method: 'HEAD' })).status, 204)
  })

  test('DELETE › 204, and the session is gone', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    await patch(app, location, 'hello')
    const cancelled = await app.fetch(location, { method: 'DELETE' })
    assert.equal(cancelled.status, 204)
    assert.equal(await cancelled.text(), '')
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      await errorOf(await app.fetch(location, { method }), 404, 'BLOB_UPLOAD_INVALID')
    }
    await errorOf(await put(app, location, hello.digest), 404, 'BLOB_UPLOAD_INVALID')
  })

  test('an invented session is 404 BLOB_UPLOAD_UNKNOWN, unlike a spent one', async () => {
    await using app = await startTestApp()
    for (const session of [randomUUID(), '00000000-0000-0000-0000-000000000000', 'x', '%00', "'--", 'a'.repeat(5000)]) {
      const response = await app.fetch(`${uploads}${session}`)
      const { message } = await errorOf(response, 404, 'BLOB_UPLOAD_UNKNOWN')
      assert.equal(message, 'blob upload unknown to registry')
      await errorOf(await put(app, `${uploads}${session}`, hello.digest, 'x'), 404, 'BLOB_UPLOAD_UNKNOWN')
    }
  })

  test("another repository's session is 404 BLOB_UPLOAD_UNKNOWN and goes on undisturbed", async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const stolen = location.replace('team/app', 'team/thief')
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      await errorOf(await app.fetch(stolen, { method }), 404, 'BLOB_UPLOAD_UNKNOWN')
    }
    await errorOf(await put(app, stolen, hello.digest, 'hello world'), 404, 'BLOB_UPLOAD_UNKNOWN')
    assert.equal((await put(app, location, hello.digest, 'hello world')).status, 201)
  })

  test('a chunk that skips bytes is 416 RANGE_INVALID and says where to go on', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    await patch(app, location, 'hello', '0-4')
    for (const range of ['6-10', '0-4', '4-8', '100-200']) {
      const response = await patch(app, location, ' world'.slice(0, 5), range)
      assert.deepEqual(progress(response), { location, range: '0-4', session: location.split('/').at(-1) })
      assert.equal((await errorOf(response, 416, 'RANGE_INVALID')).message, 'invalid content range')
    }
    const finishing = await put(app, location, hello.digest, 'world', '6-10')
    assert.equal(finishing.headers.get('location'), location)
    await errorOf(finishing, 416, 'RANGE_INVALID')
    assert.equal((await patch(app, location, ' world', '5-10')).status, 202)
    assert.equal((await put(app, location, hello.digest)).status, 201)
  })

  test('a first chunk that does not begin at 0 is 416 RANGE_INVALID', async () => {
    await using app = await startTestApp()
    await errorOf(await patch(app, await begin(app), 'world', '6-10'), 416, 'RANGE_INVALID')
  })

  for (const range of ['5-3', 'hello', '-', '0-', 'bytes */11', '0-1-2']) {
    test(`the content range "${range}" is 416 RANGE_INVALID`, async () => {
      await using app = await startTestApp()
      await errorOf(await patch(app, await begin(app), 'hello', range), 416, 'RANGE_INVALID')
    })
  }

  test('a range of another length than the body is 400 SIZE_INVALID and leaves the session as it was', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    await patch(app, location, 'hello', '0-4')
    for (const range of ['5-9', '5-11']) {
      await errorOf(await patch(app, location, ' world', range), 400, 'SIZE_INVALID')
      assert.equal((await app.fetch(location)).headers.get('range'), '0-4')
    }
    assert.equal((await patch(app, location, ' world', '5-10')).status, 202)
    assert.equal((await put(app, location, hello.digest)).status, 201)
  })

  for (const [what, range] of [
    ['fewer', '5-11'],
    ['more', '5-8'],
  ] as const) {
    test(`a body without a length that has ${what === 'more' ? 'more' : 'fewer'} bytes than its range is 400 SIZE_INVALID`, async () => {
      await using app = await startTestApp()
      const location = await begin(app)
      await patch(app, location, 'hello', '0-4')
      const response = await app.fetch(location, {
        method: 'PATCH',
        body: new Blob([' world']).stream(),
        duplex: 'half',
        headers: { 'content-range': range },
      } as RequestInit)
      await errorOf(response, 400, 'SIZE_INVALID')
      assert.equal((await app.fetch(location)).headers.get('range'), '0-4')
      assert.equal((await put(app, location, hello.digest, ' world')).status, 201)
    })
  }

  test('a wrong digest is 400 DIGEST_INVALID, and the session is gone', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    await patch(app, location, 'something else')
    await errorOf(await put(app, location, hello.digest), 400, 'DIGEST_INVALID')
    await errorOf(await app.fetch(location), 404, 'BLOB_UPLOAD_INVALID')
    assert.equal((await app.fetch(`/v2/team/app/blobs/${hello.digest}`)).status, 404)
  })

  test('a PUT without digest, or with a malformed one, is 400 DIGEST_INVALID', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    await errorOf(await app.fetch(location, { method: 'PUT', body: 'x' }), 400, 'DIGEST_INVALID')
    await errorOf(await put(app, location, 'sha256:xyz', 'x'), 400, 'DIGEST_INVALID')
  })

  test('a digest may be percent-encoded', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    assert.equal((await put(app, location, encodeURIComponent(hello.digest), 'hello world')).status, 201)
  })

  test('sha512 is as good as sha256', async () => {
    await using app = await startTestApp()
    const blob = aBlob('hello world', undefined, 'sha512')
    const location = await begin(app)
    await patch(app, location, 'hello ')
    const finished = await put(app, location, blob.digest, 'world')
    assert.equal(finished.status, 201)
    assert.equal(finished.headers.get('docker-content-digest'), blob.digest)
    assert.equal(await contentOf(app, blob.digest), 'hello world')
    assert.equal((await app.fetch(`/v2/team/app/blobs/${hello.digest}`)).status, 404)
    const wrong = aBlob('x', undefined, 'sha512').digest
    await errorOf(await put(app, await begin(app), wrong, 'hello world'), 400, 'DIGEST_INVALID')
  })

  test('a client that goes away in the middle can ask how far it came and go on', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    const broken = request({
      host: '127.0.0.1',
      port: app.port,
      path: location,
      method: 'PATCH',
      headers: { authorization: app.admin, 'content-length': 11 },
    })
    broken.on('error', () => undefined)
    broken.write('hello')
    await untilClaimed(app)
    const closed = new Promise((resolve) => broken.once('close', resolve))
    broken.destroy()
    await closed
    // The next request of the same session waits for the broken one to end.
    const status = await patch(app, location, '')
    assert.equal(status.status, 202)
    // What had come as far as the handler is kept; what the connection took with it is not.
    const kept = { '0-4': 5, '0-0': 0 }[status.headers.get('range') ?? '']
    assert.ok(kept !== undefined, status.headers.get('range') ?? '')
    assert.equal((await patch(app, location, 'hello world'.slice(kept), `${kept}-10`)).status, 202)
    assert.equal((await put(app, location, hello.digest)).status, 201)
    assert.equal(await contentOf(app, hello.digest), 'hello world')
  })

  test('Expect: 100-continue › the body is asked for only when the request is let in', async () => {
    await using app = await startTestApp()
    const location = await begin(app)
    for (const [authorization, status, asked] of [
      ['', 401, 0],
      [app.admin, 202, 1],
    ] as const) {
      const headers = { 'content-length': 5, expect: '100-continue', ...(authorization && { authorization }) }
      const sent = request({
        host: '127.0.0.1',
        port: app.port,
        path: location,
        method: 'PATCH',
        agent: false,
        headers,
      })
      let invitations = 0
      sent.on('continue', () => {
        invitations++
        sent.end('hello')
      })
      sent.on('error', () => undefined)
      sent.flushHeaders()
      const [answer] = await once(sent, 'response')
      assert.equal(answer.statusCode, status)
      assert.equal(invitations, asked)
      sent.destroy()
    }
  })

  test('a refused upload gets its answer although its body is still on the way', async () => {
    await using app = await startTestApp()
    const body = randomBytes(4 * 1024 * 1024)
    const answer = await rawRequest(app, `${uploads}${randomUUID()}`, { method: 'PATCH', body })
    assert.equal(answer.status, 401)
  })

  test('many sessions of one repository at once do not disturb one another', async () => {
    await using app = await startTestApp()
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const blob = aBlob(`blob ${index} `.repeat(5_000))
        const location = await begin(app)
        await patch(app, location, blob.bytes.subarray(0, 10_000))
        await patch(app, location, blob.bytes.subarray(10_000))
        assert.equal((await put(app, location, blob.digest)).status, 201)
        assert.equal(await contentOf(app, blob.digest), blob.bytes.toString())
      }),
    )
  })
})

/** Until a request has begun to write to some session. */
async function untilClaimed(app: TestApp): Promise<void> {
  for (;;) {
    const rows = await app.db.read((tables) =>
      tables.selectFrom('upload_sessions').where('writer', 'is not', null).select('id').execute(),
    )
    if (rows.length > 0) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('POST blobs/uploads/?mount=', () => {
  const mount = (app: TestApp, query: string, headers: Record<string, string> = {}) =>
    app.fetch(`/v2/team/copy/blobs/uploads/?${query}`, { method: 'POST', headers })

  test('answers 201 and links the blob without its bytes', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    const response = await mount(app, `mount=${hello.digest}&from=team/app`)
    assert.equal(response.status, 201)
    assert.equal(response.headers.get('location'), `/v2/team/copy/blobs/${hello.digest}`)
    assert.equal(response.headers.get('docker-content-digest'), hello.digest)
    assert.equal(await contentOf(app, hello.digest, 'team/copy'), 'hello world')
  })

  test('a mounted blob outlives the one it came from', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    await mount(app, `mount=${hello.digest}&from=team/app`)
    assert.equal((await app.fetch(`/v2/team/app/blobs/${hello.digest}`, { method: 'DELETE' })).status, 202)
    assert.equal(await contentOf(app, hello.digest, 'team/copy'), 'hello world')
  })

  test('without from finds the blob in any repository that the caller may pull', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    assert.equal((await mount(app, `mount=${hello.digest}`)).status, 201)
    assert.equal((await mount(app, `mount=${hello.digest}&from=`)).status, 201)
  })

  test('an encoded digest and name are understood', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    const query = `mount=${encodeURIComponent(hello.digest)}&from=team%2Fapp`
    assert.equal((await mount(app, query)).status, 201)
  })

  for (const [what, query] of [
    ['a blob that is nowhere', `mount=${aBlob('nowhere').digest}&from=team/app`],
    ['a repository without the blob', `mount=${hello.digest}&from=team/empty`],
    ['a malformed repository', `mount=${hello.digest}&from=TEAM//..`],
    ['a malformed digest', 'mount=sha256:short&from=team/app'],
    ['no digest', 'mount=&from=team/app'],
  ] as const) {
    test(`begins an ordinary upload for ${what}`, async () => {
      await using app = await startTestApp()
      await pushBlob(app, 'team/app', hello)
      const response = await mount(app, query)
      assert.equal(response.status, 202)
      const location = response.headers.get('location') ?? ''
      assert.match(location, /^\/v2\/team\/copy\/blobs\/uploads\/[^/?]+$/)
      assert.equal((await put(app, location, hello.digest, 'hello world')).status, 201)
    })
  }

  /** Pull and push in `team/copy` only, of a principal who may pull less than everything. */
  async function narrowToken(app: TestApp): Promise<string> {
    const first = await tokenFor(app, ['repository:team/copy:pull,push'])
    // The admin's own token says that the admin may mount from everywhere; one made from a narrow token does not.
    const wide = await tokenFor(app, ['repository:team/copy:pull,push'], `Bearer ${first}`)
    return wide
  }

  test('begins an ordinary upload when the caller may not pull the source, never a refusal', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    const headers = bearer(await narrowToken(app))
    for (const query of [`mount=${hello.digest}&from=team/app`, `mount=${hello.digest}`]) {
      const response = await mount(app, query, headers)
      assert.equal(response.status, 202, query)
    }
    assert.equal((await app.fetch(`/v2/team/copy/blobs/${hello.digest}`)).status, 404)
  })

  test('a token with both scopes mounts', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    const scopes = ['repository:team/copy:pull,push', 'repository:team/app:pull']
    const narrow = await tokenFor(app, scopes)
    const headers = bearer(await tokenFor(app, scopes, `Bearer ${narrow}`))
    assert.equal((await mount(app, `mount=${hello.digest}&from=team/app`, headers)).status, 201)
  })

  test('is refused like any push where the destination is closed', async () => {
    await using app = await startTestApp()
    await pushBlob(app, 'team/app', hello)
    const headers = bearer(await tokenFor(app, ['repository:team/app:pull', 'repository:team/copy:pull']))
    const response = await mount(app, `mount=${hello.digest}&from=team/app`, headers)
    await errorOf(response, 401, 'UNAUTHORIZED')
  })

  test('a mounted image can be pushed by its manifest alone', async () => {
    await using app = await startTestApp()
    const image = anImage({ layers: 3 })
    await pushImage(app, 'team/app', image, 'v1')
    for (const blob of [image.config, ...image.layers]) {
      assert.equal((await mount(app, `mount=${blob.digest}&from=team/app`)).status, 201)
    }
    const response = await app.fetch('/v2/team/copy/manifests/v1', {
      method: 'PUT',
      body: image.manifest.bytes,
      headers: { 'content-type': image.manifest.mediaType },
    })
    assert.equal(response.status, 201)
  })
})
