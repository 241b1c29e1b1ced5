import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { azureSkip, startAzure, type TestStore } from '../../../test/object-stores.ts'
import { type AzureBlobOptions, openAzureBlobStore } from './azure-blob.ts'
import { aBlob, isFaultOf, readAll, someBytes } from './blob-store.contract.ts'

const openssl = (argumentList: readonly string[]) => execFileSync('openssl', argumentList, { stdio: 'ignore' })

function opensslSkip(): string | false {
  try {
    openssl(['version'])
    return false
  } catch {
    return 'openssl is not installed, which makes the certificate'
  }
}

// The service takes tokens over TLS only, and reads the source of a copy from itself: with a certificate that signs itself.
describe('azure-blob with an identity in place of a key', { skip: azureSkip || opensslSkip() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-identity-'))
  const trusted = tls.getCACertificates('default')
  let server: TestStore<AzureBlobOptions>
  let asked = 0
  let status = 200
  const authority = createServer((_, response) => {
    asked++
    response.writeHead(status).end(JSON.stringify({ access_token: tokenOf(), expires_in: 3_600 }))
  })
  before(async () => {
    const files = { certificate: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
    const subject = ['-subj', '/CN=azurite', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
    const output = ['-nodes', '-keyout', files.key, '-out', files.certificate]
    openssl(['req', '-x509', '-newkey', 'rsa:2048', ...subject, ...output])
    tls.setDefaultCACertificates([...trusted, readFileSync(files.certificate, 'utf8')])
    server = await startAzure(files)
    authority.listen(0, '127.0.0.1')
    await once(authority, 'listening')
  })
  after(async () => {
    tls.setDefaultCACertificates(trusted)
    authority.close()
    await server[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  const open = () =>
    openAzureBlobStore({
      ...server.options(),
      limits: { maxCopyBytes: 6 << 20 },
      env: {
        AZURE_AUTHORITY_HOST: `http://127.0.0.1:${(authority.address() as AddressInfo).port}`,
        AZURE_TENANT_ID: 'tenant',
        AZURE_CLIENT_ID: 'client',
        AZURE_CLIENT_SECRET: 'secret',
      },
    })

  test('writes, copies in one call and in parts, and hands out links that others can use', async () => {
    const store = await open()
    asked = 0
    for (const size of [1_000, 13 << 20]) {
      const bytes = someBytes(size)
      const digest = await aBlob(store, bytes)
      assert.ok(Buffer.from(await readAll(store, digest)).equals(bytes))
      const link = await store.link?.(digest, { ttlSeconds: 60 })
      assert.ok(link)
      assert.ok(link.searchParams.has('skoid'), 'signed with a key that was lent')
      const answer = await fetch(link)
      assert.equal(answer.status, 200)
      assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes))
    }
    assert.equal(asked, 1)
  })

  test('is `unavailable` while the authority refuses it, and all goes on afterwards', async () => {
    const store = await open()
    status = 401
    await assert.rejects(store.begin(), isFaultOf('unavailable'))
    status = 200
    await store.abort(await store.begin())
  })
})

/** As Azurite wants it, which looks at everything but the signature. */
function tokenOf(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1_000)
  const issuer = 'https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/'
  const claims = { aud: 'https://storage.azure.com', iss: issuer, iat: now - 60, nbf: now - 60, exp: now + 3_600 }
  const ids = { oid: '23657296-5cd5-45b0-a809-d972a7f4dfe1', tid: 'dd0d0df1-06c3-436c-8034-4b9a153097ce' }
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ ...claims, ...ids })}.c2ln`
}
