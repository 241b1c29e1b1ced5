import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import type { Founding } from '../core/directory/founding.ts'
import { type Addresses, bootstrapOf, readBootstrap, refreshed, writeBootstrap } from './bootstrap-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-bootstrap-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0
const aFile = () => join(folder, `${++files}.json`)

const founding: Founding = {
  tenantId: 't',
  subscriptionId: 's',
  resourceGroup: 'default',
  clientId: 'c',
  clientSecret: 'the secret',
  registry: { name: 'berth', username: 'berth', password: 'the password' },
}
const onLocalhost: Addresses = { scheme: 'https', domain: 'localhost', port: 8443, caCertificate: '/data/tls/ca.pem' }
const elsewhere: Addresses = { scheme: 'https', domain: 'registry.example.com', port: 443, caCertificate: '' }

suite('bootstrap.json', () => {
  test('on localhost › its keys, in the order of the design, and the plain name for every plane', () => {
    const text = JSON.stringify(bootstrapOf(founding, onLocalhost))
    const management = 'https://localhost:8443'
    const expected = {
      endpoint: management,
      caCertificate: '/data/tls/ca.pem',
      tenantId: 't',
      subscriptionId: 's',
      resourceGroup: 'default',
      clientId: 'c',
      clientSecret: 'the secret',
      registry: {
        name: 'berth',
        loginServer: 'berth.localhost:8443',
        username: 'berth',
        password: 'the password',
      },
      cloud: {
        name: 'Berth',
        endpoints: {
          resourceManager: management,
          management,
          activeDirectory: `${management}/adfs`,
          activeDirectoryResourceId: management,
          microsoftGraphResourceId: management,
          gallery: management,
        },
        suffixes: {
          acrLoginServerEndpoint: '.localhost:8443',
          storageEndpoint: 'localhost:8443',
          keyvaultDns: '.vault.localhost:8443',
        },
      },
    }
    assert.equal(text, JSON.stringify(expected))
  })

  test('on another domain › a host for each plane, and no port where it is 443', () => {
    const { endpoint, registry, cloud } = bootstrapOf(founding, elsewhere)
    assert.equal(endpoint, 'https://berth.registry.example.com')
    assert.equal(registry.loginServer, 'berth.registry.example.com')
    assert.equal(cloud.endpoints.resourceManager, 'https://management.registry.example.com')
    assert.equal(cloud.endpoints.activeDirectory, 'https://login.registry.example.com/adfs')
    assert.equal(cloud.suffixes.acrLoginServerEndpoint, '.registry.example.com')
    const plain = bootstrapOf(founding, { ...elsewhere, scheme: 'http', port: 8080 })
    assert.equal(plain.endpoint, 'http://berth.registry.example.com:8080')
    assert.equal(plain.cloud.endpoints.management, 'http://management.registry.example.com:8080')
  })

  test('is read back as it was written, and only its owner may read it', async () => {
    const file = aFile()
    const bootstrap = bootstrapOf(founding, onLocalhost)
    await writeBootstrap(file, bootstrap)
    assert.deepEqual(await readBootstrap(file), bootstrap)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.ok(readFileSync(file, 'utf8').endsWith('}\n'))
  })

  test('that others could read is for its owner alone once it is written again', async () => {
    const file = aFile()
    writeFileSync(file, '{}', { mode: 0o644 })
    await writeBootstrap(file, bootstrapOf(founding, onLocalhost))
    assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  test('under other addresses or with another password › these are new, everything else and the order stay', () => {
    const first = bootstrapOf(founding, onLocalhost)
    assert.equal(JSON.stringify(refreshed(first, onLocalhost, 'the password')), JSON.stringify(first))
    const later = refreshed(first, elsewhere, 'renewed')
    const registry = { ...founding.registry, password: 'renewed' }
    assert.equal(JSON.stringify(later), JSON.stringify(bootstrapOf({ ...founding, registry }, elsewhere)))
  })

  test('that is not there is nothing; one that is damaged is an error that names it and tells no secret', async () => {
    assert.equal(await readBootstrap(aFile()), undefined)
    const whole = JSON.stringify(bootstrapOf(founding, onLocalhost))
    for (const text of ['', '{}', 'null', whole.slice(0, -3), whole.replace('"the secret"', '7')]) {
      const file = aFile()
      writeFileSync(file, text)
      await assert.rejects(readBootstrap(file), {
        message: `${file} is not what the first start wrote; repair it or put it away`,
      })
    }
  })
})
