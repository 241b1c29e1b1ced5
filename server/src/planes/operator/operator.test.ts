import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startTestApp } from '../../../test/app.ts'
import { rawRequest } from '../../../test/wire.ts'

describe('operator endpoints', () => {
  for (const path of ['/healthz', '/readyz']) {
    test(`GET ${path} › 200 without a credential, on any host`, async () => {
      await using app = await startTestApp()
      for (const host of [app.host, 'example.com', '10.0.0.1:8443', 'login.localhost']) {
        const answer = await rawRequest(app, path, { headers: { host } })
        assert.equal(answer.status, 200)
        assert.deepEqual(JSON.parse(answer.body.toString()), { status: 'ok' })
      }
      assert.equal((await rawRequest(app, path, { method: 'HEAD' })).status, 200)
      assert.equal((await rawRequest(app, path, { method: 'POST' })).status, 405)
    })
  }

  test('GET /readyz › 503 naming the part when the database is gone, while /healthz stays 200', async () => {
    await using app = await startTestApp()
    await app.db.dispose()
    const ready = await rawRequest(app, '/readyz')
    assert.equal(ready.status, 503)
    assert.deepEqual(JSON.parse(ready.body.toString()), {
      status: 'unavailable',
      troubles: { database: 'does not answer' },
    })
    assert.equal((await rawRequest(app, '/healthz')).status, 200)
  })

  test('GET /metrics › 200 from this machine', async () => {
    await using app = await startTestApp()
    const answer = await rawRequest(app, '/metrics')
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['content-type'], 'text/plain')
  })

  for (const [client, status] of [
    ['203.0.113.7', 404],
    ['203.0.113.7, 127.0.0.1', 404],
    ['127.0.0.1, 203.0.113.7', 404],
    ['2001:db8::1', 404],
    ['10.1.2.3', 200],
    ['127.0.0.1', 200],
  ] as const) {
    test(`GET /metrics › ${status} for ${client} behind a trusted proxy`, async () => {
      await using app = await startTestApp({}, { config: { trustedProxies: ['127.0.0.1', '10.0.0.0/8'] } })
      const answer = await rawRequest(app, '/metrics', { headers: { 'x-forwarded-for': client } })
      assert.equal(answer.status, status)
    })
  }

  test('GET /metrics › 404 through a proxy on this machine that was not named as trusted', async () => {
    await using app = await startTestApp()
    for (const headers of [{ 'x-forwarded-for': '203.0.113.7' }, { forwarded: 'for=203.0.113.7' }]) {
      assert.equal((await rawRequest(app, '/metrics', { headers })).status, 404)
    }
  })

  test('other paths that begin alike are 404', async () => {
    await using app = await startTestApp()
    for (const path of ['/healthz/', '/healthzz', '/metrics/x', '/readyz/..']) {
      assert.equal((await rawRequest(app, path)).status, 404, path)
    }
  })
})
