import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startTestApp, type TestApp, testSettings } from '../../../test/app.ts'
import { anImage, pushImage } from '../../../test/images.ts'
import { basic, rawRequest, tokenFor } from '../../../test/wire.ts'

/** The registry `other` beside `berth`, and how to speak to it. */
async function addOther(app: TestApp) {
  await app.registries.createRegistry('other', testSettings)
  const [first] = await app.registries.listPasswords('other')
  const host = `other.localhost:${app.port}`
  const authorization = basic('other', first?.value ?? '')
  return { host, authorization, headers: { host, authorization } }
}

const codeOf = (body: Buffer) => JSON.parse(body.toString()).errors[0].code

describe('hosts', () => {
  for (const name of ['localhost', 'berth.localhost', '127.0.0.1', '127.1.2.3', '[::1]', 'BERTH.localhost']) {
    test(`${name} stands for the registry berth`, async () => {
      await using app = await startTestApp()
      for (const host of [name, `${name}:${app.port}`, `${name}:1`]) {
        const answer = await rawRequest(app, '/v2/', { headers: { host, authorization: app.admin } })
        assert.equal(answer.status, 200, host)
      }
    })
  }

  for (const host of [
    'example.com',
    'login.localhost',
    'management.localhost',
    'portal.localhost',
    'a.b.localhost',
    'evillocalhost',
  ]) {
    test(`${host} is nobody's: 404 NAME_UNKNOWN on /v2 and on /oauth2, whatever is shown`, async () => {
      await using app = await startTestApp()
      for (const path of ['/v2/', '/oauth2/token', '/']) {
        const answer = await rawRequest(app, path, { headers: { host, authorization: app.admin } })
        assert.equal(answer.status, 404)
        assert.equal(codeOf(answer.body), 'NAME_UNKNOWN')
      }
    })
  }

  test('a registry that does not exist is 404 NAME_UNKNOWN, whatever is shown', async () => {
    await using app = await startTestApp()
    const host = 'nobody.localhost'
    for (const authorization of [undefined, app.admin, basic('nobody', app.password), basic('nobody', '')]) {
      const headers = { host, ...(authorization === undefined ? {} : { authorization }) }
      for (const path of ['/v2/', '/v2/_catalog', '/oauth2/token']) {
        const answer = await rawRequest(app, path, { headers })
        assert.equal(answer.status, 404)
        assert.equal(codeOf(answer.body), 'NAME_UNKNOWN')
      }
    }
  })

  test('behind a trusted proxy the forwarded host decides', async () => {
    await using app = await startTestApp({}, { config: { trustedProxies: ['127.0.0.1'] } })
    const other = await addOther(app)
    const headers = { host: app.host, 'x-forwarded-host': other.host, authorization: other.authorization }
    assert.equal((await rawRequest(app, '/v2/', { headers })).status, 200)
    assert.equal((await rawRequest(app, '/v2/', { headers: { ...headers, 'x-forwarded-host': 'x.org' } })).status, 404)
  })
})

describe('two registries in one server', () => {
  test("keep their contents apart, also those of the same repository's name", async () => {
    await using app = await startTestApp()
    const other = await addOther(app)
    const image = anImage()
    await pushImage(app, 'team/app', image, 'v1')
    const layer = image.layers[0]?.digest ?? ''
    for (const path of [
      '/v2/team/app/manifests/v1',
      `/v2/team/app/manifests/${image.manifest.digest}`,
      `/v2/team/app/blobs/${layer}`,
      '/v2/team/app/tags/list',
    ]) {
      assert.equal((await app.fetch(path)).status, 200, path)
      assert.equal((await rawRequest(app, path, { headers: other.headers })).status, 404, path)
    }
    const catalog = await rawRequest(app, '/v2/_catalog', { headers: other.headers })
    assert.deepEqual(JSON.parse(catalog.body.toString()), { repositories: [] })
    for (const path of [`/v2/team/app/manifests/${image.manifest.digest}`, `/v2/team/app/blobs/${layer}`]) {
      const deleted = await rawRequest(app, path, { method: 'DELETE', headers: other.headers })
      assert.equal(deleted.status, 404)
      assert.equal((await app.fetch(path)).status, 200)
    }
  })

  test('do not mount blobs from one another', async () => {
    await using app = await startTestApp()
    const other = await addOther(app)
    const image = anImage()
    await pushImage(app, 'team/app', image, 'v1')
    for (const from of ['&from=team/app', '']) {
      const path = `/v2/team/app/blobs/uploads/?mount=${image.layers[0]?.digest}${from}`
      const mount = await rawRequest(app, path, { method: 'POST', headers: { ...other.headers, 'content-length': 0 } })
      assert.equal(mount.status, 202)
    }
  })

  test("do not continue one another's upload sessions", async () => {
    await using app = await startTestApp()
    const other = await addOther(app)
    const started = await app.fetch('/v2/team/app/blobs/uploads/', { method: 'POST' })
    const location = started.headers.get('location') ?? ''
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      const answer = await rawRequest(app, location, { method, headers: { ...other.headers, 'content-length': 0 } })
      assert.equal(answer.status, 404)
    }
    assert.equal((await app.fetch(location)).status, 204)
  })

  test("refuse one another's tokens and passwords", async () => {
    await using app = await startTestApp()
    const other = await addOther(app)
    const token = await tokenFor(app, ['repository:*:*', 'registry:catalog:*'])
    const refresh = await app.fetch('/v2/', { headers: { authorization: `Bearer ${token}` } })
    assert.equal(refresh.status, 200)
    for (const path of ['/v2/', '/v2/_catalog', '/v2/team/app/tags/list']) {
      const headers = { host: other.host, authorization: `Bearer ${token}` }
      const answer = await rawRequest(app, path, { headers })
      assert.equal(answer.status, 401)
      assert.match(answer.headers['www-authenticate'] ?? '', /error="invalid_token"$/)
    }
    const passwords = { host: other.host, authorization: app.admin }
    assert.equal((await rawRequest(app, '/v2/', { headers: passwords })).status, 401)
    const swapped = { host: other.host, authorization: basic('other', app.password) }
    assert.equal((await rawRequest(app, '/oauth2/token', { headers: swapped })).status, 401)
  })

  test('each take a token that was fetched under another name of their own', async () => {
    await using app = await startTestApp()
    const token = await tokenFor(app, [])
    for (const host of [app.host, `berth.localhost:${app.port}`, `127.0.0.1:${app.port}`]) {
      const answer = await rawRequest(app, '/v2/', { headers: { host, authorization: `Bearer ${token}` } })
      assert.equal(answer.status, 200, host)
    }
  })
})
