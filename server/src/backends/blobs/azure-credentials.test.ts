import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { findAzureCredentials } from './azure-credentials.ts'
import { ObjectStoreError } from './object-store.ts'

interface Asked {
  readonly method: string | undefined
  readonly url: URL
  readonly headers: IncomingHttpHeaders
  readonly form: URLSearchParams
}

describe('credentials for Azure Blob Storage', () => {
  let base: string
  let asked: Asked[]
  let answer: { status: number; body: string }
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString())
    asked.push({ method: request.method, url: new URL(request.url ?? '', base), headers: request.headers, form })
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body)
  })
  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  after(() => server.close())
  beforeEach(() => {
    asked = []
    answer = { status: 200, body: JSON.stringify({ access_token: 'the-token', expires_in: 3_600 }) }
  })

  async function tokenWith(env: Record<string, string>) {
    const found = findAzureCredentials(env)
    assert.ok(found.kind === 'token')
    return found.getToken()
  }

  test('are a key of the account, also out of a connection string, before all others', () => {
    const others = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_CLIENT_SECRET: 's' }
    assert.deepEqual(findAzureCredentials({ AZURE_STORAGE_KEY: 'a2V5==', ...others }), { kind: 'key', key: 'a2V5==' })
    const connection = 'DefaultEndpointsProtocol=https;AccountName=n;AccountKey=a2V5==;EndpointSuffix=core.windows.net'
    assert.deepEqual(findAzureCredentials({ AZURE_STORAGE_CONNECTION_STRING: connection, AZURE_STORAGE_KEY: '' }), {
      kind: 'key',
      key: 'a2V5==',
    })
  })

  test('are a token for a service principal’s secret', async () => {
    const began = Date.now()
    const { token, expiresOnTimestamp } = await tokenWith({
      AZURE_AUTHORITY_HOST: `${base}/`,
      AZURE_TENANT_ID: 'tenant',
      AZURE_CLIENT_ID: 'client',
      AZURE_CLIENT_SECRET: 'secret',
    })
    assert.equal(token, 'the-token')
    assert.ok(Math.abs(expiresOnTimestamp - began - 3_600_000) < 60_000)
    const [{ method, url, form } = assert.fail()] = asked
    assert.equal(`${method} ${url.pathname}`, 'POST /tenant/oauth2/v2.0/token')
    assert.deepEqual(Object.fromEntries(form), {
      grant_type: 'client_credentials',
      client_id: 'client',
      client_secret: 'secret',
      scope: 'https://storage.azure.com/.default',
    })
  })

  test('are a token for a workload’s own token, which is read anew each time', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-token-'))
    const file = join(folder, 'token')
    const env = {
      AZURE_AUTHORITY_HOST: base,
      AZURE_TENANT_ID: 'tenant',
      AZURE_CLIENT_ID: 'client',
      AZURE_FEDERATED_TOKEN_FILE: file,
    }
    for (const text of ['one\n', 'two']) {
      await writeFile(file, text)
      await tokenWith(env)
    }
    await rm(folder, { recursive: true })
    await assert.rejects(tokenWith(env), { name: 'ObjectStoreError', trouble: 'denied' })
    assert.deepEqual(
      asked.map(({ form }) => form.get('client_assertion')),
      ['one', 'two'],
    )
    assert.equal(asked[0]?.form.get('client_assertion_type'), 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
  })

  test('are a token of the machine’s or the app’s identity', async () => {
    answer.body = JSON.stringify({ access_token: 'the-token', expires_on: '2000000000' })
    const machine = await tokenWith({ AZURE_POD_IDENTITY_AUTHORITY_HOST: base, AZURE_CLIENT_ID: 'client' })
    assert.equal(machine.expiresOnTimestamp, 2_000_000_000_000)
    await tokenWith({ IDENTITY_ENDPOINT: `${base}/msi/token`, IDENTITY_HEADER: 'proof' })
    const [ofMachine, ofApp] = asked
    const query = 'api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=client'
    assert.equal(`${ofMachine?.url.pathname}${ofMachine?.url.search}`, `/metadata/identity/oauth2/token?${query}`)
    assert.equal(ofMachine?.headers.metadata, 'true')
    assert.equal(ofApp?.url.pathname, '/msi/token')
    assert.equal(ofApp.url.searchParams.get('api-version'), '2019-08-01')
    assert.equal(ofApp.headers['x-identity-header'], 'proof')
  })

  test('that are refused are told from a service that does not answer, and neither tells a secret', async () => {
    const env = {
      AZURE_AUTHORITY_HOST: base,
      AZURE_TENANT_ID: 'tenant',
      AZURE_CLIENT_ID: 'client',
      AZURE_CLIENT_SECRET: 'the-secret',
    }
    const troubleOf = async () => {
      const error = await tokenWith(env).catch((found: unknown) => found)
      assert.ok(error instanceof ObjectStoreError)
      assert.ok(!error.message.includes('the-secret'))
      return error.trouble
    }
    answer = { status: 401, body: JSON.stringify({ error: 'invalid_client', error_description: 'the-secret' }) }
    assert.equal(await troubleOf(), 'denied')
    answer = { status: 200, body: '<html>' }
    assert.equal(await troubleOf(), 'denied')
    answer = { status: 503, body: '' }
    assert.equal(await troubleOf(), 'unreachable')
    env.AZURE_AUTHORITY_HOST = 'http://127.0.0.1:1'
    assert.equal(await troubleOf(), 'unreachable')
  })
})
