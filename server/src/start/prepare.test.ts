import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import type { Kysely } from 'kysely'
import type { Tables } from '../backends/db/tables/index.ts'
import { openBlobStore, openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import { sealerOf } from '../base/seal.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { foundFirstTenant } from '../core/directory/founding.ts'
import { createRegistries } from '../core/directory/registries.ts'
import { bootstrapOf, writeBootstrap } from './bootstrap-file.ts'
import { keysOf, type Prepared, prepare } from './prepare.ts'
import { StartError } from './start-error.ts'

const root = mkdtempSync(join(tmpdir(), 'berth-prepare-'))
after(() => rmSync(root, { recursive: true }))
let folders = 0

/** Plain HTTP needs no certificates, which would only take time. */
const configFor = (data: string, flags: Record<string, string | boolean> = {}): Config =>
  loadConfig({ flags: { data, port: '0', http: true, ...flags }, env: {}, terminal: false })
const aConfig = () => configFor(join(root, String(++folders)))

async function prepared(t: TestContext, config: Config): Promise<Prepared> {
  const all = await prepare(config)
  t.after(() => all.lock.release())
  return all
}

/** What is in the database and is nobody's by chance. */
async function contentsOf(config: Config) {
  const db = await openDatabase(config.db, systemClock)
  try {
    const registries = createRegistries(db, sealerOf((await keysOf(config)).seal), systemClock)
    const ids = (table: 'tenants' | 'subscriptions') =>
      db.read((tables) => tables.selectFrom(table).select('id').execute())
    const principals = await db.read((tables) => tables.selectFrom('service_principals').select('client_id').execute())
    return {
      tenants: (await ids('tenants')).map(({ id }) => id),
      subscriptions: (await ids('subscriptions')).map(({ id }) => id),
      clients: principals.map(({ client_id }) => client_id),
      registries: (await registries.listRegistries()).map(({ name }) => name),
      password: (await registries.listPasswords('berth'))[0]?.value,
    }
  } finally {
    await db.dispose()
  }
}

suite('before the first request', () => {
  test('an empty folder gets key, database, first tenant and bootstrap.json, which agree', async (t) => {
    const config = aConfig()
    const { bootstrap, bootstrapFile, firstStart, config: real } = await prepared(t, config)
    assert.equal(firstStart, true)
    assert.ok(real.port > 0 && real.publicPort === real.port)
    assert.deepEqual(JSON.parse(readFileSync(bootstrapFile, 'utf8')), bootstrap)
    assert.equal(bootstrap?.endpoint, `http://localhost:${real.port}`)
    assert.deepEqual(await contentsOf(config), {
      tenants: [bootstrap?.tenantId],
      subscriptions: [bootstrap?.subscriptionId],
      clients: [bootstrap?.clientId],
      registries: ['berth'],
      password: bootstrap?.registry.password,
    })
    for (const name of ['bootstrap.json', 'secret.key', 'berth.db']) {
      assert.equal(statSync(join(config.dataFolder, name)).mode & 0o077, 0, `${name} is for its owner alone`)
    }
  })

  test('a second start finds everything, and writes down a new domain and a renewed password', async (t) => {
    const config = aConfig()
    const first = await prepare(config)
    first.lock.release()
    const db = await openDatabase(config.db, systemClock)
    const registries = createRegistries(db, sealerOf((await keysOf(config)).seal), systemClock)
    const renewed = await registries.regeneratePassword('berth', 'password')
    await db.dispose()
    const moved = configFor(config.dataFolder, { domain: 'registry.example.com:80' })
    const { bootstrap, firstStart, bootstrapFile } = await prepared(t, moved)
    assert.equal(firstStart, false)
    assert.equal(bootstrap?.clientSecret, first.bootstrap?.clientSecret)
    assert.equal(bootstrap?.registry.password, renewed)
    assert.notEqual(renewed, first.bootstrap?.registry.password)
    assert.equal(bootstrap?.registry.loginServer, 'berth.registry.example.com:80')
    assert.deepEqual(JSON.parse(readFileSync(bootstrapFile, 'utf8')), bootstrap)
  })

  test('a bootstrap.json that was put away is not written again', async (t) => {
    const config = aConfig()
    const first = await prepare(config)
    first.lock.release()
    rmSync(first.bootstrapFile)
    const second = await prepared(t, config)
    assert.deepEqual([second.firstStart, second.bootstrap], [false, undefined])
    assert.equal(existsSync(second.bootstrapFile), false)
  })

  test('a start that died after it wrote bootstrap.json and marked the store, and before it founded anything begins anew', async (t) => {
    const config = aConfig()
    // What such a start has done: taken the folder, made the key, the registry and the file.
    const file = join(config.dataFolder, 'bootstrap.json')
    const interrupted = await prepare(config)
    interrupted.lock.release()
    const db = await openDatabase(config.db, systemClock)
    await db.write(async (tables) => {
      for (const table of ['service_principals', 'resource_groups', 'subscriptions', 'tenants'] as const) {
        await tables.deleteFrom(table).execute()
      }
    })
    const registries = createRegistries(db, sealerOf((await keysOf(config)).seal), systemClock)
    const died = new Error('the power is out')
    const addresses = { scheme: 'http', domain: 'localhost', port: 1, caCertificate: '' } as const
    const store = await openBlobStore(config.blobs)
    let announced = ''
    await assert.rejects(
      foundFirstTenant(db, registries, systemClock, async (founding) => {
        announced = founding.tenantId
        await writeBootstrap(file, bootstrapOf(founding, addresses))
        await store.setOwner(announced)
        throw died
      }),
      died,
    )
    await Promise.all([store.dispose(), db.dispose()])
    assert.deepEqual((await contentsOf(config)).tenants, [])

    const { bootstrap, firstStart } = await prepared(t, config)
    assert.equal(firstStart, true)
    assert.equal(bootstrap?.tenantId, announced)
    const contents = await contentsOf(config)
    assert.deepEqual(contents.tenants, [bootstrap?.tenantId])
    assert.equal(readFileSync(join(config.dataFolder, 'blobs', 'owner'), 'utf8'), `${bootstrap?.tenantId}\n`)
    assert.deepEqual(contents.clients, [bootstrap?.clientId])
    assert.deepEqual(contents.registries, ['berth'])
    assert.equal(contents.password, bootstrap?.registry.password)
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), bootstrap)
  })

  test('a bootstrap.json about a tenant that does not exist is removed, and the operator is told', async (t) => {
    const config = aConfig()
    const first = await prepare(config)
    first.lock.release()
    const foreign = { ...first.bootstrap, tenantId: '00000000-0000-4000-8000-000000000000' }
    writeFileSync(first.bootstrapFile, JSON.stringify(foreign))
    const { bootstrap, bootstrapFile, notices } = await prepared(t, config)
    assert.equal(bootstrap, undefined)
    assert.equal(existsSync(bootstrapFile), false)
    assert.deepEqual(notices, [`${bootstrapFile} was about a tenant that does not exist, and is removed.`])
  })
})

suite('a start that cannot be', () => {
  const refused = (config: Config, message: RegExp) =>
    assert.rejects(prepare(config), (error) => error instanceof StartError && message.test(error.message))

  test('on a folder that another server has', async (t) => {
    const config = aConfig()
    await prepared(t, config)
    await refused(config, /^another Berth is running on the data folder \/.+$/)
  })

  test('on a taken port, after which the folder is free', async (t) => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    t.after(() => other.close())
    const { dataFolder } = aConfig()
    const { port } = other.address() as AddressInfo
    await refused(configFor(dataFolder, { port: String(port) }), new RegExp(`^port ${port} on 127.0.0.1 is taken `))
    await prepared(t, configFor(dataFolder))
  })

  test('with a store that has none of the blobs that the database names, until they are given up', async (t) => {
    const config = aConfig()
    const first = await prepare(config)
    first.lock.release()
    const change = async (work: (tables: Kysely<Tables>) => Promise<unknown>) => {
      const db = await openDatabase(config.db, systemClock)
      await db.write(work)
      await db.dispose()
    }
    const now = new Date().toISOString()
    const blob = { digest: `sha256:${'a'.repeat(64)}`, size: 3, created_at: now, scrubbed_at: now }
    await change((tables) => tables.insertInto('blobs').values(blob).execute())
    await refused(config, /^cannot start: .*blobs has none of the blobs that .*berth\.db was last known to have: is it/)
    await change((tables) => tables.updateTable('blobs').set({ damaged_at: now }).execute())
    await prepared(t, config)
  })

  test('with a key or a bootstrap.json that is damaged, or a key that is gone', async (t) => {
    const config = aConfig()
    const first = await prepare(config)
    first.lock.release()
    const key = join(config.dataFolder, 'secret.key')
    const goodKey = readFileSync(key)
    const good = readFileSync(first.bootstrapFile)
    writeFileSync(first.bootstrapFile, good.subarray(0, 100))
    await refused(config, /bootstrap\.json is not what the first start wrote; repair it or put it away$/)
    writeFileSync(first.bootstrapFile, good)
    writeFileSync(key, 'short')
    await refused(config, /^cannot start: \/.*secret\.key does not hold a key/)
    writeFileSync(key, `${'0'.repeat(64)}\n`)
    await refused(config, /^cannot start: \/.*secret\.key is not the key that sealed the secrets in \/.*berth\.db$/)
    rmSync(key)
    await refused(config, /^cannot start: \/.*secret\.key cannot be read \(ENOENT\): .* from the backup$/)
    assert.equal(existsSync(key), false)
    writeFileSync(key, goodKey)
    assert.deepEqual((await prepared(t, config)).bootstrap?.registry.password, first.bootstrap?.registry.password)
  })
})
