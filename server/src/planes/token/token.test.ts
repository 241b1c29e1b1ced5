import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startTestApp, type TestApp, testSettings } from '../../../test/app.ts'
import { anImage, pushImage } from '../../../test/images.ts'
import { basic, bearer, challengeOf, claimsOf, errorOf, rawRequest, tokenFor } from '../../../test/wire.ts'

const nullGuid = '00000000-0000-0000-0000-000000000000'

const postForm = (app: TestApp, fields: Record<string, string> | [string, string][]) =>
  app.fetch('/oauth2/token', { method: 'POST', body: new URLSearchParams(fields), headers: { authorization: '' } })

async function accessTokenOf(response: Response): Promise<string> {
  assert.equal(response.status, 200, await response.clone().text())
  return ((await response.json()) as { access_token: string }).access_token
}

const ping = async (app: TestApp, token: string) => (await app.fetch('/v2/', { headers: bearer(token) })).status

/** A refresh token, such as `/oauth2/exchange` will hand out. */
const aRefreshToken = (app: TestApp, registry = 'berth') =>
  app.access.issueAdminRefreshToken({ registry, audience: app.hosts.audienceOf(registry) })

describe('GET /oauth2/token', () => {
  test('a token drawn with a refresh token ends with it', async () => {
    await using app = await startTestApp()
    const refresh = await aRefreshToken(app)
    app.clock.advance((3 * 60 * 60 - 90) * 1000)
    const response = await app.fetch('/oauth2/token', { headers: { authorization: basic(nullGuid, refresh) } })
    const { access_token, expires_in } = (await response.json()) as { access_token: string; expires_in: number }
    assert.equal(expires_in, 90)
    assert.equal(claimsOf(access_token).exp, claimsOf(refresh).exp)
    app.clock.advance(91_000)
    assert.equal(await ping(app, access_token), 401)
  })

  test('more scopes than fit a request header are refused, not granted uselessly', async () => {
    await using app = await startTestApp()
    const scopes = Array.from({ length: 300 }, (_, index) => `repository:team/application-${index}:pull,push`)
    const response = await app.fetch('/oauth2/token', {
      method: 'POST',
      headers: { authorization: '' },
      body: new URLSearchParams({
        grant_type: 'password',
        username: 'berth',
        password: app.password,
        scope: scopes.join(' '),
      }),
    })
    assert.equal(response.status, 400)
    assert.match(await response.text(), /ask for fewer/)
  })

  test('answers an access token and its seconds, and no refresh token', async () => {
    await using app = await startTestApp()
    const response = await app.fetch(
      `/oauth2/token?service=${app.host}&account=berth&client_id=docker&offline_token=true`,
    )
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
    assert.equal(response.headers.get('cache-control'), 'no-store')
    const { access_token, ...rest } = (await response.json()) as { access_token: string }
    assert.deepEqual(rest, { expires_in: 4500 })
    assert.equal(await ping(app, access_token), 200)
  })

  test('the token is a JWT of RS256 with the claims that ACR has', async () => {
    await using app = await startTestApp()
    const token = await tokenFor(app, ['repository:team/app:pull,push'])
    const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString())
    assert.deepEqual({ ...header, kid: undefined }, { alg: 'RS256', typ: 'JWT', kid: undefined })
    assert.match(header.kid, /^[0-9a-f-]{36}$/)
    const { jti, mount_from, ...claims } = claimsOf(token)
    const now = Math.floor(app.clock.now() / 1000)
    assert.match(String(jti), /^[0-9a-f-]{36}$/)
    assert.deepEqual(claims, {
      version: '1.0',
      roles: [],
      access: [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }],
      grant_type: 'access_token',
      sub: 'berth',
      iss: 'Azure Container Registry',
      aud: 'berth.localhost',
      iat: now,
      nbf: now - 60,
      exp: now + 4500,
    })
  })

  test('works without a scope: the credential is good, the token reaches nothing', async () => {
    await using app = await startTestApp()
    const token = await tokenFor(app, [])
    assert.deepEqual(claimsOf(token).access, [])
    assert.equal(await ping(app, token), 200)
    assert.equal((await app.fetch('/v2/_catalog', { headers: bearer(token) })).status, 401)
  })

  for (const [what, authorization] of [
    ['no credential', ''],
    ['a wrong password', basic('berth', 'wrong')],
    ['another name', basic('harbour', 'wrong')],
    ['empty credentials', basic('', '')],
    ['the null GUID with garbage', basic(nullGuid, 'garbage')],
    ['a broken header', 'Basic ???'],
    ['a broken token', 'Bearer garbage'],
  ] as const) {
    test(`answers 401 UNAUTHORIZED to ${what}`, async () => {
      await using app = await startTestApp()
      const response = await app.fetch('/oauth2/token', { headers: { authorization } })
      challengeOf(response)
      await errorOf(response, 401, 'UNAUTHORIZED')
    })
  }

  test('both passwords work, the user name in any letter case', async () => {
    await using app = await startTestApp()
    const passwords = await app.registries.listPasswords('berth')
    assert.deepEqual(
      passwords.map(({ name }) => name),
      ['password', 'password2'],
    )
    for (const { value } of passwords) {
      assert.equal(await ping(app, await tokenFor(app, [], basic('berth', value))), 200)
      assert.equal((await app.fetch('/v2/', { headers: { authorization: basic('BERTH', value) } })).status, 200)
    }
  })

  test('a new password replaces one and leaves the other', async () => {
    await using app = await startTestApp()
    const [first, second] = (await app.registries.listPasswords('berth')).map(({ value }) => basic('berth', value))
    const fresh = await app.registries.regeneratePassword('berth', 'password')
    for (const [authorization, status] of [
      [first ?? '', 401],
      [second ?? '', 200],
      [basic('berth', fresh ?? ''), 200],
    ] as const) {
      for (const path of ['/oauth2/token', '/v2/']) {
        assert.equal((await app.fetch(path, { headers: { authorization } })).status, status)
      }
    }
  })

  test('the admin user can be switched off and on again', async () => {
    await using app = await startTestApp()
    const refresh = await aRefreshToken(app)
    for (const [adminUserEnabled, status] of [
      [false, 401],
      [true, 200],
    ] as const) {
      await app.registries.updateRegistry('berth', { adminUserEnabled })
      for (const path of ['/oauth2/token', '/v2/', '/v2/_catalog']) {
        assert.equal((await app.fetch(path)).status, status, path)
      }
      const grant = await postForm(app, { grant_type: 'refresh_token', refresh_token: refresh })
      assert.equal(grant.status, status)
    }
  })
})

describe('the null GUID', () => {
  test('with a refresh token or an access token as password is whoever holds it', async () => {
    await using app = await startTestApp()
    const access = await tokenFor(app, ['repository:team/app:pull'])
    for (const [password, granted] of [
      [await aRefreshToken(app), ['pull', 'push']],
      [access, ['pull']],
    ] as const) {
      const authorization = basic(nullGuid, password)
      const token = await tokenFor(app, ['repository:team/app:pull,push'], authorization)
      assert.deepEqual(claimsOf(token).access, [{ type: 'repository', name: 'team/app', actions: granted }])
      assert.equal((await app.fetch('/v2/', { headers: { authorization } })).status, 200)
      const push = await app.fetch('/v2/team/app/blobs/uploads/', { method: 'POST', headers: { authorization } })
      assert.equal(push.status, granted.length === 2 ? 202 : 401)
      const posted = await postForm(app, { grant_type: 'password', username: nullGuid, password })
      assert.equal(await ping(app, await accessTokenOf(posted)), 200)
    }
  })

  test('an access token asked for more than it has stays as narrow as it is', async () => {
    await using app = await startTestApp()
    const narrow = await tokenFor(app, ['repository:team/app:pull'])
    const scopes = ['repository:team/app:*', 'repository:other:pull', 'repository:*:*', 'registry:catalog:*']
    for (const authorization of [basic(nullGuid, narrow), `Bearer ${narrow}`]) {
      const claims = claimsOf(await tokenFor(app, scopes, authorization))
      assert.deepEqual(claims.access, [{ type: 'repository', name: 'team/app', actions: ['pull', 'metadata_read'] }])
      assert.equal(claims.mount_from, undefined)
    }
  })

  test("another registry's refresh token is refused", async () => {
    await using app = await startTestApp()
    await app.registries.createRegistry('other', testSettings)
    const refresh = await aRefreshToken(app, 'other')
    assert.equal((await app.fetch('/v2/', { headers: { authorization: basic(nullGuid, refresh) } })).status, 401)
    await errorOf(await postForm(app, { grant_type: 'refresh_token', refresh_token: refresh }), 401, 'UNAUTHORIZED')
    const host = `other.localhost:${app.port}`
    const there = await rawRequest(app, '/v2/', { headers: { host, authorization: basic(nullGuid, refresh) } })
    assert.equal(there.status, 200)
  })
})

describe('POST /oauth2/token', () => {
  test('grant password › the admin user, as az and oras send it', async () => {
    await using app = await startTestApp()
    const response = await postForm(app, {
      grant_type: 'password',
      client_id: 'oras-go',
      service: app.host,
      username: 'berth',
      password: app.password,
      scope: 'repository:a:pull repository:b:pull,push',
    })
    assert.equal(response.headers.get('cache-control'), 'no-store')
    const { access_token, ...rest } = (await response.json()) as { access_token: string }
    assert.deepEqual(rest, { expires_in: 4500 })
    assert.deepEqual(claimsOf(access_token).access, [
      { type: 'repository', name: 'a', actions: ['pull'] },
      { type: 'repository', name: 'b', actions: ['pull', 'push'] },
    ])
  })

  test('grant refresh_token › an access token, and no other refresh token', async () => {
    await using app = await startTestApp()
    const fields = { service: app.host, scope: 'registry:catalog:*', refresh_token: await aRefreshToken(app) }
    const response = await postForm(app, { grant_type: 'refresh_token', ...fields })
    assert.deepEqual(Object.keys((await response.clone().json()) as object), ['access_token', 'expires_in'])
    const token = await accessTokenOf(response)
    assert.equal((await app.fetch('/v2/_catalog', { headers: bearer(token) })).status, 200)
  })

  test('grant refresh_token › 401 for an access token, an expired one, garbage and none', async () => {
    await using app = await startTestApp()
    const [access, refresh] = [await tokenFor(app, []), await aRefreshToken(app)]
    app.clock.advance(3 * 60 * 60_000)
    for (const token of [access, refresh, 'garbage', '']) {
      await errorOf(await postForm(app, { grant_type: 'refresh_token', refresh_token: token }), 401, 'UNAUTHORIZED')
    }
    await errorOf(await postForm(app, { grant_type: 'refresh_token' }), 401, 'UNAUTHORIZED')
  })

  test('a refresh token lives for three hours', async () => {
    await using app = await startTestApp()
    const refresh_token = await aRefreshToken(app)
    app.clock.advance(3 * 60 * 60_000 - 1_000)
    assert.equal((await postForm(app, { grant_type: 'refresh_token', refresh_token })).status, 200)
  })

  test('grant password › 401 for wrong and missing passwords', async () => {
    await using app = await startTestApp()
    for (const fields of [
      { username: 'berth', password: 'wrong' },
      { username: 'berth' },
      { password: app.password },
      { username: 'other', password: app.password },
    ]) {
      const filled = Object.fromEntries(Object.entries({ grant_type: 'password', ...fields }))
      await errorOf(await postForm(app, filled as Record<string, string>), 401, 'UNAUTHORIZED')
    }
  })

  for (const grant_type of ['', 'authorization_code', 'client_credentials', 'PASSWORD']) {
    test(`grant "${grant_type}" › 400 UNSUPPORTED`, async () => {
      await using app = await startTestApp()
      await errorOf(await postForm(app, { grant_type }), 400, 'UNSUPPORTED')
    })
  }

  test('a body of another kind › 400, and above 64 KiB 413', async () => {
    await using app = await startTestApp()
    const post = (type: string, body: string) =>
      app.fetch('/oauth2/token', { method: 'POST', body, headers: { 'content-type': type } })
    await errorOf(await post('application/json', '{}'), 400, 'UNSUPPORTED')
    await errorOf(await post('text/plain', 'grant_type=password'), 400, 'UNSUPPORTED')
    const form = 'application/x-www-form-urlencoded'
    await errorOf(await post(form, `grant_type=password&x=${'x'.repeat(65_536)}`), 413, 'SIZE_INVALID')
    assert.equal((await post(`${form}; charset=UTF-8`, 'grant_type=x')).status, 400)
  })

  test('other paths › 404', async () => {
    await using app = await startTestApp()
    for (const path of ['/oauth2/token/', '/oauth2/v2.0/token']) {
      await errorOf(await app.fetch(path, { method: 'POST' }), 404, 'NAME_UNKNOWN')
    }
  })
})

describe('scopes', () => {
  let app: TestApp & AsyncDisposable
  before(async () => {
    app = await startTestApp()
  })
  after(() => app[Symbol.asyncDispose]())

  const everything = ['pull', 'push', 'delete', 'metadata_read', 'metadata_write', 'deleted_read', 'deleted_restore']
  const repository = (name: string, actions: readonly string[]) => ({ type: 'repository', name, actions })

  for (const [scopes, access] of [
    [['repository:team/app:pull'], [repository('team/app', ['pull'])]],
    [['repository:team/app:push,pull'], [repository('team/app', ['push', 'pull'])]],
    [['repository:team/app:*'], [repository('team/app', everything)]],
    [['repository:*:*'], [repository('*', everything)]],
    [['repository:*:pull'], [repository('*', ['pull'])]],
    [['repository:localhost:5000/team/app:pull'], [repository('localhost:5000/team/app', ['pull'])]],
    [
      ['repository:a:pull', 'repository:b:push'],
      [repository('a', ['pull']), repository('b', ['push'])],
    ],
    [['repository:a:pull repository:b:push'], [repository('a', ['pull']), repository('b', ['push'])]],
    [['repository:a:pull', 'repository:a:push repository:a:pull'], [repository('a', ['pull', 'push'])]],
    [['repository:a:pull,pull,,pull'], [repository('a', ['pull'])]],
    [['repository:a:pull,fly'], [repository('a', ['pull'])]],
    [['repository:a:metadataRead'], [repository('a', ['metadata_read'])]],
    [['repository:a:fly'], []],
    [['repository:a:'], []],
    [['registry:catalog:*'], [{ type: 'registry', name: 'catalog', actions: ['*'] }]],
    [['registry:deleted_catalog:*'], [{ type: 'registry', name: 'deleted_catalog', actions: ['*'] }]],
    [['registry:None:*'], []],
    [['registry:catalog:pull'], []],
    [
      ['artifact-repository:repo:*'],
      [{ type: 'artifact-repository', name: 'repo', actions: ['pull', 'push', 'delete'] }],
    ],
    [['repository(plugin):a:pull'], []],
    [['constructor:a:*', 'toString:a:pull', '__proto__:a:*', 'repository:a:constructor'], []],
    [['', ' ', 'garbage', 'a:b', ':::', '::', 'repository::pull', ':a:pull'], []],
  ] as const) {
    test(`${JSON.stringify(scopes)} › ${JSON.stringify(access)}`, async () => {
      assert.deepEqual(claimsOf(await tokenFor(app, scopes)).access, access)
      const form: [string, string][] = [
        ['grant_type', 'password'],
        ['username', 'berth'],
        ['password', app.password],
        ...scopes.map((scope): [string, string] => ['scope', scope]),
      ]
      assert.deepEqual(claimsOf(await accessTokenOf(await postForm(app, form))).access, access)
    })
  }

  test('a token for every repository opens those that do not exist yet', async () => {
    const headers = bearer(await tokenFor(app, ['repository:*:pull,push']))
    const response = await app.fetch('/v2/brand/new/blobs/uploads/', { method: 'POST', headers })
    assert.equal(response.status, 202)
    assert.equal((await app.fetch('/v2/_catalog', { headers })).status, 401)
  })

  test('* as an action is what skopeo deletes with', async () => {
    const image = anImage()
    await pushImage(app, 'team/doomed', image, 'v1')
    const headers = bearer(await tokenFor(app, ['repository:team/doomed:*']))
    const path = `/v2/team/doomed/manifests/${image.manifest.digest}`
    assert.equal((await app.fetch(path, { headers })).status, 200)
    assert.equal((await app.fetch(path, { method: 'DELETE', headers })).status, 202)
  })
})

describe('anonymous pull', () => {
  const start = async () => {
    const app = await startTestApp({ anonymousPullEnabled: true })
    await pushImage(app, 'team/app', anImage(), 'v1')
    return app
  }

  test('off › no token without a credential', async () => {
    await using app = await startTestApp()
    await errorOf(await app.fetch('/oauth2/token', { headers: { authorization: '' } }), 401, 'UNAUTHORIZED')
    for (const grant of [{ refresh_token: '' }, { username: '', password: '' }, {}]) {
      await errorOf(
        await postForm(app, { grant_type: 'password', ...grant } as Record<string, string>),
        401,
        'UNAUTHORIZED',
      )
    }
  })

  test('on › a token that pulls and lists tags, and does nothing else', async () => {
    await using app = await start()
    const scopes = ['repository:team/app:pull,push,delete,metadata_read', 'registry:catalog:*', 'repository:team/app:*']
    const token = await tokenFor(app, scopes, '')
    assert.equal(claimsOf(token).sub, 'anonymous')
    assert.deepEqual(claimsOf(token).access, [
      { type: 'repository', name: 'team/app', actions: ['pull', 'metadata_read'] },
    ])
    const { digest } = anImage().manifest
    for (const [method, path, status] of [
      ['GET', '/v2/', 200],
      ['GET', '/v2/team/app/manifests/v1', 200],
      ['GET', `/v2/team/app/blobs/${anImage().config.digest}`, 200],
      ['GET', '/v2/team/app/tags/list', 200],
      ['GET', `/v2/team/app/referrers/${digest}`, 200],
      ['GET', '/v2/_catalog', 401],
      ['POST', '/v2/team/app/blobs/uploads/', 401],
      ['PUT', '/v2/team/app/manifests/v2', 401],
      ['DELETE', `/v2/team/app/manifests/${digest}`, 401],
      ['GET', '/v2/team/other/tags/list', 401],
    ] as const) {
      const response = await app.fetch(path, { method, headers: bearer(token) })
      assert.equal(response.status, status, `${method} ${path}`)
      if (status === 401) assert.equal(challengeOf(response).error, 'insufficient_scope')
    }
  })

  test('on › the SDKs get their token by a password grant without user and password', async () => {
    await using app = await start()
    for (const grant of [{ refresh_token: '' }, { username: '', password: '' }, {}]) {
      const fields = { grant_type: 'password', scope: 'repository:team/app:pull', ...grant }
      const token = await accessTokenOf(await postForm(app, fields as Record<string, string>))
      const response = await app.fetch('/v2/team/app/manifests/v1', { headers: bearer(token) })
      assert.equal(response.status, 200)
    }
  })

  test('on › a request without any token is still challenged, for its scope', async () => {
    await using app = await start()
    for (const [path, scope] of [
      ['/v2/', undefined],
      ['/v2/team/app/manifests/v1', 'repository:team/app:pull'],
    ] as const) {
      const response = await app.fetch(path, { headers: { authorization: '' } })
      assert.equal(response.status, 401)
      assert.equal(challengeOf(response).scope, scope)
    }
  })

  test('on › wrong credentials do not become anonymous ones', async () => {
    await using app = await start()
    for (const authorization of [basic('berth', 'wrong'), basic('', 'x'), 'Bearer garbage', 'Nonsense']) {
      assert.equal((await app.fetch('/oauth2/token', { headers: { authorization } })).status, 401, authorization)
    }
  })

  test("of one registry gives nothing in another one's", async () => {
    await using app = await start()
    await app.registries.createRegistry('other', testSettings)
    const host = `other.localhost:${app.port}`
    assert.equal((await rawRequest(app, '/oauth2/token', { headers: { host } })).status, 401)
    const token = await tokenFor(app, ['repository:*:pull'], '')
    const headers = { host, authorization: `Bearer ${token}` }
    assert.equal((await rawRequest(app, '/v2/team/app/tags/list', { headers })).status, 401)
  })
})

describe('failed logins', () => {
  const attempt = async (app: TestApp, username: string, password: string, address = '203.0.113.1') => {
    const headers = { authorization: basic(username, password), 'x-forwarded-for': address }
    return rawRequest(app, '/oauth2/token', { headers })
  }
  const startBehindProxy = () => startTestApp({}, { config: { trustedProxies: ['127.0.0.1'] } })

  test('after twenty, the account is closed to that address for five minutes: 429 with Retry-After', async () => {
    await using app = await startBehindProxy()
    for (let count = 0; count < 20; count++) assert.equal((await attempt(app, 'berth', 'wrong')).status, 401)
    app.clock.advance(60_000)
    for (const password of ['wrong', app.password]) {
      const refused = await attempt(app, 'berth', password)
      assert.equal(refused.status, 429)
      assert.equal(refused.headers['retry-after'], '240')
      assert.equal(JSON.parse(refused.body.toString()).errors[0].code, 'TOOMANYREQUESTS')
    }
    assert.equal((await attempt(app, 'berth', app.password, '203.0.113.2')).status, 200)
    assert.equal((await attempt(app, 'someone', 'wrong')).status, 401)
    app.clock.advance(240_000)
    assert.equal((await attempt(app, 'berth', app.password)).status, 200)
  })

  test('the same holds for Basic on /v2 and for the password grant', async () => {
    await using app = await startTestApp()
    const wrong = { authorization: basic('berth', 'wrong') }
    for (let count = 0; count < 20; count++) assert.equal((await app.fetch('/v2/', { headers: wrong })).status, 401)
    assert.equal((await app.fetch('/v2/')).status, 429)
    const grant = { grant_type: 'password', username: 'berth', password: app.password }
    assert.equal((await postForm(app, grant)).status, 429)
  })

  test('the letter case of the user name buys no further attempts', async () => {
    await using app = await startBehindProxy()
    for (let count = 0; count < 20; count++) {
      const username = count % 2 === 0 ? 'berth' : 'Berth'
      assert.equal((await attempt(app, username, 'wrong')).status, 401)
    }
    assert.equal((await attempt(app, 'BERTH', app.password)).status, 429)
  })

  test('after a hundred of any accounts, the address is closed for all of them', async () => {
    await using app = await startBehindProxy()
    for (let count = 0; count < 100; count++) {
      assert.equal((await attempt(app, `user${count}`, 'wrong')).status, 401)
    }
    assert.equal((await attempt(app, 'berth', app.password)).status, 429)
    assert.equal((await attempt(app, 'berth', app.password, '203.0.113.2')).status, 200)
  })

  test('a bearer token is not held up', async () => {
    await using app = await startTestApp()
    const token = await tokenFor(app, [])
    const wrong = { authorization: basic('berth', 'wrong') }
    for (let count = 0; count < 20; count++) await app.fetch('/v2/', { headers: wrong })
    assert.equal(await ping(app, token), 200)
  })

  test('each refusal is held back a little longer, up to two seconds', async () => {
    const waits: number[] = []
    const wait = async (ms: number) => void waits.push(ms)
    await using app = await startTestApp({}, { wait })
    for (let count = 0; count < 9; count++) {
      await app.fetch('/v2/', { headers: { authorization: basic('berth', 'wrong') } })
    }
    assert.deepEqual(waits, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000])
  })
})
