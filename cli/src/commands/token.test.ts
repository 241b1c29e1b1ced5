import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import { createApp } from '@berth/server/app.ts'
import { silentLog } from '@berth/server/base/log.ts'
import { keysOf } from '@berth/server/start/prepare.ts'
import { prepareFolder, run } from '../../test/run.ts'

const data = mkdtempSync(join(tmpdir(), 'berth-token-'))
after(() => rmSync(data, { recursive: true }))
const prepared = await prepareFolder(data)
// Both name the same public port, which is in the tokens' audience.
const domain = `localhost:${prepared.config.publicPort}`

/** The server of this data; returns its address. */
async function serve(t: TestContext): Promise<string> {
  const app = await createApp(prepared.config, {
    log: silentLog,
    keys: await keysOf(prepared.config),
    observe: () => {},
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
  })
  const server = createServer(app.handler.handle).listen(0, '127.0.0.1')
  t.after(async () => {
    server.close()
    server.closeAllConnections()
    await app.dispose()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

suite('berth token', () => {
  test('prints a refresh token that works as the password of the null GUID, and at /oauth2/token', async (t) => {
    const said = await run(t, ['token', '--data', data, '--domain', domain])
    assert.equal(said.stderr, '')
    assert.equal(said.code, 0)
    const token = said.stdout.trimEnd()
    const [, claims = ''] = token.split('.')
    const { iat, exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { iat: number; exp: number }
    assert.equal(exp - iat, 3 * 3600)

    const url = await serve(t)
    const login = Buffer.from(`00000000-0000-0000-0000-000000000000:${token}`).toString('base64')
    const query = new URLSearchParams({ service: `berth.${domain}`, scope: 'repository:a/b:pull,push' })
    const headers = { authorization: `Basic ${login}` }
    const byLogin = await fetch(`${url}/oauth2/token?${query}`, { headers })
    assert.equal(byLogin.status, 200)
    const body = new URLSearchParams({
      ...Object.fromEntries(query),
      grant_type: 'refresh_token',
      refresh_token: token,
    })
    const exchanged = await fetch(`${url}/oauth2/token`, { method: 'POST', body })
    assert.equal(exchanged.status, 200)
    const { access_token } = (await exchanged.json()) as { access_token: string }
    const authorization = `Bearer ${access_token}`
    const push = await fetch(`${url}/v2/a/b/blobs/uploads/`, { method: 'POST', headers: { authorization } })
    assert.equal(push.status, 202)
  })

  test('for an unknown registry › a sentence, exit code 1', async (t) => {
    const stderr = 'berth: there is no registry named nobody; `berth registry` lists them\n'
    assert.deepEqual(await run(t, ['token', 'nobody', '--data', data]), { code: 1, stdout: '', stderr })
  })
})
