import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { basic, bearer, challengeOf, errorOf, rawRequest, tokenFor } from '../../../test/wire.ts'

const digest = `sha256:${'a'.repeat(64)}`
const session = '00000000-0000-4000-8000-000000000000'

/** Method, path and the scope that ACR asks for. */
const endpoints = [
  ['GET', '/v2/team/app/manifests/v1', 'repository:team/app:pull'],
  ['HEAD', '/v2/team/app/manifests/v1', 'repository:team/app:pull'],
  ['PUT', '/v2/team/app/manifests/v1', 'repository:team/app:pull,push'],
  ['DELETE', `/v2/team/app/manifests/${digest}`, 'repository:team/app:delete'],
  ['DELETE', '/v2/team/app/manifests/v1', 'repository:team/app:delete'],
  ['GET', `/v2/team/app/blobs/${digest}`, 'repository:team/app:pull'],
  ['HEAD', `/v2/team/app/blobs/${digest}`, 'repository:team/app:pull'],
  ['DELETE', `/v2/team/app/blobs/${digest}`, 'repository:team/app:delete'],
  ['POST', '/v2/team/app/blobs/uploads/', 'repository:team/app:pull,push'],
  ['POST', '/v2/team/app/blobs/uploads', 'repository:team/app:pull,push'],
  ['POST', `/v2/team/app/blobs/uploads/?mount=${digest}&from=other`, 'repository:team/app:pull,push'],
  ['POST', `/v2/team/app/blobs/uploads/?digest=${digest}`, 'repository:team/app:pull,push'],
  ['PATCH', `/v2/team/app/blobs/uploads/${session}`, 'repository:team/app:pull,push'],
  ['PUT', `/v2/team/app/blobs/uploads/${session}?digest=${digest}`, 'repository:team/app:pull,push'],
  ['GET', `/v2/team/app/blobs/uploads/${session}`, 'repository:team/app:pull,push'],
  ['DELETE', `/v2/team/app/blobs/uploads/${session}`, 'repository:team/app:pull,push'],
  ['GET', '/v2/team/app/tags/list', 'repository:team/app:metadata_read'],
  ['GET', '/v2/_catalog', 'registry:catalog:*'],
  ['GET', `/v2/team/app/referrers/${digest}`, 'repository:team/app:pull'],
  ['GET', '/v2/team%2Fapp/manifests/v1', 'repository:team/app:pull'],
] as const

function detailOf(scope: string) {
  const [Type, Name, actions = ''] = scope.split(':')
  return actions.split(',').map((Action) => ({ Type, Name, Action }))
}

describe('the challenge', () => {
  for (const [method, path, scope] of endpoints) {
    test(`${method} ${path} › 401 without a credential, for ${scope}`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch(path, { method, headers: { authorization: '' } })
      const challenge = challengeOf(response)
      assert.deepEqual(challenge, {
        realm: `http://127.0.0.1:${app.port}/oauth2/token`,
        service: `127.0.0.1:${app.port}`,
        scope,
      })
      if (method === 'HEAD') assert.equal(response.status, 401)
      else assert.deepEqual((await errorOf(response, 401, 'UNAUTHORIZED')).detail, detailOf(scope))
    })

    test(`${method} ${path} › a wrong password is challenged in the same way`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch(path, { method, headers: { authorization: basic('berth', 'wrong') } })
      assert.equal(response.status, 401)
      const { scope: asked, error } = challengeOf(response)
      assert.equal(asked, scope)
      assert.equal(error, undefined)
    })

    test(`${method} ${path} › Basic of the admin user is let in`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch(path, { method })
      assert.notEqual(response.status, 401)
      assert.ok(response.status < 500)
    })
  }

  test('of a live token that does not reach is insufficient_scope, never 403, on every endpoint', async () => {
    await using app = await startTestApp()
    const token = await tokenFor(app, ['repository:elsewhere:*'])
    for (const [method, path, scope] of endpoints) {
      const response = await app.fetch(path, { method, headers: bearer(token) })
      assert.equal(response.status, 401, `${method} ${path}`)
      const challenge = challengeOf(response)
      assert.equal(challenge.error, 'insufficient_scope')
      assert.equal(challenge.scope, scope)
      if (method === 'HEAD') continue
      assert.deepEqual((await errorOf(response, 401, 'UNAUTHORIZED')).detail, detailOf(scope))
    }
  })

  test('of an expired token is invalid_token with the scope', async () => {
    await using app = await startTestApp()
    const token = await tokenFor(app, ['repository:team/app:pull'])
    assert.equal((await app.fetch('/v2/team/app/manifests/v1', { headers: bearer(token) })).status, 404)
    app.clock.advance(75 * 60_000)
    const challenge = challengeOf(await app.fetch('/v2/team/app/manifests/v1', { headers: bearer(token) }))
    assert.equal(challenge.error, 'invalid_token')
    assert.equal(challenge.scope, 'repository:team/app:pull')
  })

  for (const [asked, reachable] of [
    ['repository:team/app:pull', ['GET manifests/v1', 'GET tags/list', `GET referrers/${digest}`]],
    ['repository:team/app:metadata_read', ['GET tags/list']],
    ['repository:team/app:delete', ['DELETE manifests/v1']],
    [
      'repository:team/app:pull,push',
      ['GET manifests/v1', 'GET tags/list', `GET referrers/${digest}`, 'POST blobs/uploads/'],
    ],
    ['repository:*:pull', ['GET manifests/v1', 'GET tags/list', `GET referrers/${digest}`]],
    ['registry:catalog:*', []],
  ] as const) {
    test(`a token for ${asked} opens exactly what it states`, async () => {
      await using app = await startTestApp()
      const headers = bearer(await tokenFor(app, [asked]))
      const opened: string[] = []
      for (const request of [
        'GET manifests/v1',
        'GET tags/list',
        `GET referrers/${digest}`,
        'POST blobs/uploads/',
        'DELETE manifests/v1',
      ]) {
        const [method = '', path = ''] = request.split(' ')
        const { status } = await app.fetch(`/v2/team/app/${path}`, { method, headers })
        if (status !== 401) opened.push(request)
      }
      assert.deepEqual(opened, reachable)
      const catalog = await app.fetch('/v2/_catalog', { headers })
      assert.equal(catalog.status, asked === 'registry:catalog:*' ? 200 : 401)
    })
  }

  test('a repository whose name begins like the granted one stays closed', async () => {
    await using app = await startTestApp()
    const headers = bearer(await tokenFor(app, ['repository:team/app:pull']))
    for (const name of ['team', 'team/app2', 'team/app/sub', 'x/team/app']) {
      assert.equal((await app.fetch(`/v2/${name}/tags/list`, { headers })).status, 401, name)
    }
  })
})

describe('the realm', () => {
  const realm = async (app: TestApp, headers: Record<string, string>) => {
    const answer = await rawRequest(app, '/v2/', { headers })
    assert.equal(answer.status, 401, answer.body.toString())
    return answer.headers['www-authenticate']
  }

  test('repeats the host that the client used, in lower case and with its port', async () => {
    await using app = await startTestApp()
    for (const host of ['localhost', `localhost:${app.port}`, 'berth.localhost:8443', '127.0.0.1:99', '[::1]:5000']) {
      assert.equal(await realm(app, { host }), `Bearer realm="http://${host}/oauth2/token",service="${host}"`)
    }
    assert.match(
      (await realm(app, { host: 'BERTH.LocalHost:1' })) ?? '',
      /"http:\/\/berth\.localhost:1\/oauth2\/token"/,
    )
  })

  test('is that of the client behind a trusted proxy', async () => {
    await using app = await startTestApp({}, { config: { trustedProxies: ['127.0.0.0/8'], domain: 'example.com' } })
    const forwarded = { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'berth.example.com:8000' }
    assert.equal(
      await realm(app, { host: 'internal', ...forwarded }),
      'Bearer realm="https://berth.example.com:8000/oauth2/token",service="berth.example.com:8000"',
    )
  })

  test('believes nothing that an unknown sender forwards', async () => {
    await using app = await startTestApp({}, { config: { trustedProxies: ['10.0.0.0/8'] } })
    const forwarded = {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil.localhost',
      'x-forwarded-for': '10.0.0.1',
    }
    assert.equal(
      await realm(app, { host: app.host, ...forwarded }),
      `Bearer realm="http://${app.host}/oauth2/token",service="${app.host}"`,
    )
  })

  test('has no room for a host that would leave its quotes', async () => {
    await using app = await startTestApp()
    for (const host of [
      'localhost",x="',
      'a b.localhost',
      'localhost/../',
      'user@localhost',
      'localhost:',
      '.localhost',
    ]) {
      const answer = await rawRequest(app, '/v2/', { headers: { host } })
      assert.ok([400, 404].includes(answer.status), `${host}: ${answer.status}`)
      assert.equal(answer.headers['www-authenticate'], undefined)
    }
  })
})
