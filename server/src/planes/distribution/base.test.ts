import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startTestApp } from '../../../test/app.ts'
import { basic, bearer, challengeOf, errorOf, rawRequest, tokenFor } from '../../../test/wire.ts'

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** As az takes a challenge apart: two spaces at most, then commas, then equals signs. */
function azChallenge(header: string): Record<string, string> {
  const parts = header.split(' ')
  assert.equal(parts.length, 2, 'az sees a space it does not expect')
  return Object.fromEntries(
    (parts[1] ?? '').split(',').map((pair) => {
      const at = pair.indexOf('=')
      assert.ok(at > 0, `az finds no equals sign in ${pair}`)
      assert.match(pair.slice(at + 1), /^"[^"]+"$/)
      return [pair.slice(0, at), pair.slice(at + 2, -1)]
    }),
  )
}

describe('GET /v2/', () => {
  for (const path of ['/v2/', '/v2']) {
    test(`${path} › answers 200 and an object to a credential`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch(path)
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
      assert.deepEqual(await response.json(), {})
    })

    test(`${path} › answers 401 with one challenge without scope to a client without a credential`, async () => {
      await using app = await startTestApp()
      const answer = await rawRequest(app, path, { headers: { host: app.host } })
      assert.equal(answer.status, 401)
      assert.deepEqual(answer.lines('www-authenticate'), [
        `Bearer realm="http://${app.host}/oauth2/token",service="${app.host}"`,
      ])
      assert.deepEqual(JSON.parse(answer.body.toString()), {
        errors: [
          {
            code: 'UNAUTHORIZED',
            message: 'authentication required, visit https://aka.ms/acr/authorization for more information.',
          },
        ],
      })
    })
  }

  test('the challenge can be taken apart as az does it', async () => {
    await using app = await startTestApp()
    const { headers } = await app.fetch('/v2/', { headers: { authorization: '' } })
    assert.deepEqual(azChallenge(headers.get('www-authenticate') ?? ''), {
      realm: `http://127.0.0.1:${app.port}/oauth2/token`,
      service: `127.0.0.1:${app.port}`,
    })
  })

  test('HEAD answers like GET, without a body', async () => {
    await using app = await startTestApp()
    const refused = await app.fetch('/v2/', { method: 'HEAD', headers: { authorization: '' } })
    assert.equal(refused.status, 401)
    assert.ok(Number(refused.headers.get('content-length')) > 0)
    challengeOf(refused)
    assert.equal((await app.fetch('/v2/', { method: 'HEAD' })).status, 200)
  })

  test('stays 401 without a credential when anonymous pull is on', async () => {
    await using app = await startTestApp({ anonymousPullEnabled: true })
    await errorOf(await app.fetch('/v2/', { headers: { authorization: '' } }), 401, 'UNAUTHORIZED')
  })

  test('answers 200 to an anonymous token', async () => {
    await using app = await startTestApp({ anonymousPullEnabled: true })
    const token = await tokenFor(app, [], '')
    assert.equal((await app.fetch('/v2/', { headers: bearer(token) })).status, 200)
  })

  for (const [what, authorization] of [
    ['a wrong password', basic('berth', 'wrong')],
    ['another user', basic('someone', 'wrong')],
    ['Basic without a colon', `Basic ${Buffer.from('berth').toString('base64')}`],
    ['Basic that is not base64', 'Basic !!!'],
    ['an unknown scheme', 'Negotiate YII='],
    ['a scheme alone', 'Bearer'],
  ] as const) {
    test(`answers 401 with the plain challenge to ${what}`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch('/v2/', { headers: { authorization } })
      const challenge = challengeOf(response)
      assert.deepEqual(Object.keys(challenge), ['realm', 'service'])
      assert.equal((await errorOf(response, 401, 'UNAUTHORIZED')).detail, undefined)
    })
  }

  test('answers 401 invalid_token to a token that is none', async () => {
    await using app = await startTestApp()
    const response = await app.fetch('/v2/', { headers: bearer('not.a.token') })
    assert.equal(challengeOf(response).error, 'invalid_token')
    await errorOf(response, 401, 'UNAUTHORIZED')
  })
})

describe('every answer', () => {
  test('of /v2 names the API version, also when it is an error', async () => {
    await using app = await startTestApp()
    for (const [path, status] of [
      ['/v2/', 200],
      ['/v2/nothing/here', 404],
      ['/v2/a/manifests/b', 404],
      ['/v2/UPPER/tags/list', 400],
    ] as const) {
      const response = await app.fetch(path)
      assert.equal(response.status, status)
      assert.equal(response.headers.get('docker-distribution-api-version'), 'registry/2.0')
    }
  })

  test('outside /v2 names no API version', async () => {
    await using app = await startTestApp()
    for (const path of ['/oauth2/token', '/oauth2/nothing', '/healthz']) {
      assert.equal((await app.fetch(path)).headers.get('docker-distribution-api-version'), null, path)
    }
  })

  test('has a correlation id of its own', async () => {
    await using app = await startTestApp()
    const ids = new Set<string>()
    for (const path of ['/v2/', '/v2/', '/v2/none/tags/list', '/oauth2/token', '/oauth2/nothing', '/healthz', '/']) {
      const { headers } = await app.fetch(path)
      const id = headers.get('x-ms-correlation-request-id') ?? ''
      assert.match(id, guid, path)
      assert.match(headers.get('x-ms-request-id') ?? '', guid)
      ids.add(id)
    }
    assert.equal(ids.size, 7)
  })

  test("repeats the client's request id", async () => {
    await using app = await startTestApp()
    const id = '11111111-2222-3333-4444-555555555555'
    const { headers } = await app.fetch('/v2/', { headers: { 'x-ms-client-request-id': id } })
    assert.equal(headers.get('x-ms-client-request-id'), id)
    assert.notEqual(headers.get('x-ms-correlation-request-id'), id)
  })

  test('does not repeat a request id with spaces, of foreign letters or great length', async () => {
    await using app = await startTestApp()
    for (const id of ['two words', 'caf\u00e9', 'x'.repeat(129), 'tab\there']) {
      const { headers } = await rawRequest(app, '/v2/', { headers: { 'x-ms-client-request-id': id } })
      assert.equal(headers['x-ms-client-request-id'], '', id)
    }
  })

  test('forbids content sniffing and exposes the headers that browsers may read, one line each', async () => {
    await using app = await startTestApp()
    const answer = await rawRequest(app, '/v2/')
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.match(String(answer.headers.server), /^Berth\/\d/)
    assert.deepEqual(answer.lines('access-control-expose-headers'), [
      'Docker-Content-Digest',
      'WWW-Authenticate',
      'Link',
      'X-Ms-Correlation-Request-Id',
    ])
  })

  test('promises HTTPS for the future only away from localhost and where there is TLS', async () => {
    const header = async (config: object, host?: string) => {
      await using app = await startTestApp({}, { config })
      const answer = await rawRequest(app, '/v2/', { headers: { host: host ?? app.host } })
      return answer.headers['strict-transport-security']
    }
    const tls = { kind: 'local-authority', folder: '/nowhere' } as const
    assert.equal(await header({ tls }), undefined)
    assert.equal(await header({ domain: 'example.com' }, 'berth.example.com'), undefined)
    assert.match((await header({ domain: 'example.com', tls }, 'berth.example.com')) ?? '', /^max-age=31536000/)
  })

  test('to a method that a path does not know is 405 UNSUPPORTED with the ones it knows', async () => {
    await using app = await startTestApp()
    const digest = `sha256:${'0'.repeat(64)}`
    for (const [method, path, allow] of [
      ['POST', '/v2/', 'GET, HEAD'],
      ['PATCH', '/v2/a/manifests/b', 'GET, HEAD, PUT, DELETE'],
      ['PUT', `/v2/a/blobs/${digest}`, 'GET, HEAD, DELETE'],
      ['GET', '/v2/a/blobs/uploads/', 'POST'],
      ['DELETE', '/v2/_catalog', 'GET'],
      ['OPTIONS', '/v2/a/tags/list', 'GET'],
      ['DELETE', '/oauth2/token', 'GET, POST'],
    ] as const) {
      const response = await app.fetch(path, { method })
      assert.equal(response.headers.get('allow'), allow, path)
      await errorOf(response, 405, 'UNSUPPORTED')
    }
  })

  test('to an unknown path is 404 in the envelope', async () => {
    await using app = await startTestApp()
    for (const path of ['/', '/v1/', '/v2/_trust', '/v2/a/manifests/', '/oauth2/', '/favicon.ico']) {
      await errorOf(await app.fetch(path), 404, 'NAME_UNKNOWN')
    }
  })

  test('to a path with broken percent-encoding is 400', async () => {
    await using app = await startTestApp()
    const { status, headers } = await rawRequest(app, '/v2/a%ff/tags/list')
    assert.equal(status, 400)
    assert.match(String(headers['x-ms-correlation-request-id']), guid)
  })

  test('to an absolute request target is the one to its path', async () => {
    await using app = await startTestApp()
    const answer = await rawRequest(app, `http://${app.host}/v2/`, { headers: { authorization: app.admin } })
    assert.equal(answer.status, 200)
  })

  test('to a bug is 500 and says nothing of its cause', async () => {
    const logged: object[] = []
    const log = { debug() {}, info() {}, warn() {}, error: (facts: object) => void logged.push(facts) }
    await using app = await startTestApp({}, { log })
    await app.db.write((tables) => tables.schema.dropTable('tags').execute())
    const response = await app.fetch('/v2/secret/manifests/v1')
    const { message } = await errorOf(response, 500, 'UNKNOWN')
    assert.doesNotMatch(message, /tags|table|sql/i)
    assert.match(message, new RegExp(response.headers.get('x-ms-correlation-request-id') ?? 'none'))
    assert.equal(logged.length, 1)
    assert.match(String((logged[0] as { err: unknown }).err), /no such table|does not exist/)
  })
})
