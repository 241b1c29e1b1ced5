/** Several nodes, each with a data folder of its own, on one PostgreSQL database. */
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, suite, type TestContext, test } from 'node:test'
import { createTestDatabase } from '../../test/database.ts'
import { postgresSkip } from '../../test/postgres.ts'
import { aBlob } from '../backends/blobs/blob-store.contract.ts'
import { openFilesystemBlobStore } from '../backends/blobs/filesystem.ts'
import type { Database } from '../backends/db/database.ts'
import { openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import { nodeName } from '../base/node-name.ts'
import { sealerOf } from '../base/seal.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { createSigningKeys } from '../core/access/signing-keys.ts'
import { createRegistries } from '../core/directory/registries.ts'
import { readLastStart } from './last-start.ts'
import { keysOf, type Prepared, prepare } from './prepare.ts'
import { StartError } from './start-error.ts'

const root = mkdtempSync(join(tmpdir(), 'berth-nodes-'))
after(() => rmSync(root, { recursive: true }))
let folders = 0

suite('nodes on one PostgreSQL', { skip: postgresSkip, timeout: 60_000 }, () => {
  let url: string
  let blobs: string
  beforeEach(async (t) => {
    const database = await createTestDatabase()
    url = database.url
    blobs = join(root, `blobs-${++folders}`)
    ;(t as TestContext).after(() => database.drop())
  })

  /** folder: of blobs, which all nodes have together, unless another is given. */
  const aNode = (flags: Record<string, string | boolean> = {}, folder = blobs): Config => {
    const data = join(root, String(++folders))
    const given = { data, database: url, port: '0', http: true, ...flags }
    return { ...loadConfig({ flags: given, env: {}, terminal: false }), blobs: { kind: 'filesystem', folder } }
  }

  async function prepared(t: TestContext, config: Config): Promise<Prepared> {
    const all = await prepare(config)
    t.after(() => all.lock.release())
    return all
  }

  async function open(t: TestContext, config: Config): Promise<Database> {
    const db = await openDatabase(config.db, systemClock)
    t.after(() => db.dispose())
    return db
  }

  const refused = (config: Config, message: RegExp) =>
    assert.rejects(prepare(config), (error) => {
      assert.ok(error instanceof StartError && message.test(error.message), String(error))
      assert.ok(!`${error.stack}${(error.cause as Error | undefined)?.stack}`.includes(new URL(url).password))
      return true
    })

  test('that start at once on an empty one › one founds, the others find it founded', async (t) => {
    const key = join(root, `shared-${++folders}.key`)
    const nodes = Array.from({ length: 3 }, () => aNode({ 'secret-key': key }))
    const all = await Promise.all(nodes.map((config) => prepared(t, config)))
    const founders = all.filter(({ firstStart }) => firstStart)
    assert.equal(founders.length, 1)
    const db = await open(t, nodes[0]!)
    const tenants = await db.read((tables) => tables.selectFrom('tenants').select('id').execute())
    assert.deepEqual(
      tenants.map(({ id }) => id),
      [founders[0]?.bootstrap?.tenantId],
    )
    for (const [i, { bootstrapFile, firstStart, bootstrap }] of all.entries()) {
      assert.equal(existsSync(bootstrapFile), firstStart)
      assert.equal(bootstrap === undefined, !firstStart)
      const files = readdirSync(nodes[i]?.dataFolder ?? '')
      assert.ok(!files.some((name) => name.startsWith('berth.db') || name === 'secret.key'), files.join(' '))
    }
    // One key opens what any of them has sealed.
    const sealer = sealerOf((await keysOf(nodes[0]!)).seal)
    const [password] = await createRegistries(db, sealer, systemClock).listPasswords('berth')
    assert.equal(password?.value, founders[0]?.bootstrap?.registry.password)
    assert.ok(await createSigningKeys(db, sealer, systemClock).getSigningKey())
  })

  test('without the key of the first › a sentence, and no new key, which would open nothing', async (t) => {
    const [first, second] = [aNode(), aNode()]
    const results = await Promise.allSettled([prepared(t, first), prepared(t, second)])
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const [founder, other] = results[0]?.status === 'fulfilled' ? [first, second] : [second, first]
    await refused(other, /^cannot start: .*secret\.key cannot be read \(ENOENT\): it seals the secrets in the database/)
    assert.equal(existsSync(other.secretKey), false)
    writeFileSync(other.secretKey, `${'0'.repeat(64)}\n`, { mode: 0o600 })
    await refused(
      other,
      /secret\.key is not the key that sealed the secrets in postgres:\/\/berth@127\.0\.0\.1:\d+\/\w+; every node needs the one of the first$/,
    )
    copyFileSync(founder.secretKey, other.secretKey)
    assert.equal((await prepared(t, other)).firstStart, false)
  })

  test('with another folder for blobs than the first › a sentence, before anything is pushed to either', async (t) => {
    const key = join(root, `shared-${++folders}.key`)
    await prepared(t, aNode({ 'secret-key': key }))
    const other = aNode({ 'secret-key': key }, `${blobs}-other`)
    await refused(
      other,
      /^cannot start: .*blobs-\d+-other is not where other nodes on postgres:.* keep blobs: all need one place,/,
    )
    await prepared(t, aNode({ 'secret-key': key }))
  })

  test('on a store that another database’s servers use › a sentence, with and without blobs in it', async (t) => {
    await prepared(t, aNode())
    const elsewhere = await createTestDatabase()
    t.after(() => elsewhere.drop())
    const theirs = { database: elsewhere.url, 'secret-key': join(root, `shared-${++folders}.key`) }
    await refused(
      aNode(theirs),
      /^cannot start: .*blobs-\d+ is the store of another database \([0-9a-f-]{36}\), and this one is new/,
    )
    const left = `${blobs}-left`
    const store = await openFilesystemBlobStore({ folder: left })
    await aBlob(store, Buffer.from('a layer'))
    await store.dispose()
    await refused(aNode(theirs, left), /^cannot start: .*-left keeps the blobs of another database \(sha256:/)
    await prepared(t, aNode(theirs, `${blobs}-other`))
    const moved = aNode(theirs)
    await refused(
      moved,
      /^cannot start: .*blobs-\d+ keeps the blobs of another database than postgres:.* \([0-9a-f-]{36}\)$/,
    )
  })

  test('a start frees the uploads of its own dead workers, and nobody else’s', async (t) => {
    const config = aNode()
    const first = await prepare(config)
    first.lock.release()
    const db = await open(t, config)
    const nodes = { mine: nodeName(config.dataFolder), before: '0'.repeat(16), after: 'f'.repeat(16) }
    await db.write(async (tables) => {
      for (const [id, node] of Object.entries(nodes)) {
        await tables
          .insertInto('upload_sessions')
          .values({
            id,
            registry_id: 1,
            repository: 'a',
            store_session: id,
            offset: 0,
            writer: `${node}:worker`,
            writer_until: '2999',
            created_at: '',
            updated_at: '',
          })
          .execute()
      }
    })
    await prepared(t, config)
    const rows = await db.read((tables) =>
      tables.selectFrom('upload_sessions').select(['id', 'writer']).orderBy('id').execute(),
    )
    assert.deepEqual(rows, [
      { id: 'after', writer: `${nodes.after}:worker` },
      { id: 'before', writer: `${nodes.before}:worker` },
      { id: 'mine', writer: null },
    ])
  })

  test('what is remembered of a start leads commands to its database, without the password', async (t) => {
    const config = aNode()
    await prepared(t, config)
    const file = join(config.dataFolder, 'last-start.json')
    const secret = new URL(url).password
    assert.ok(secret.length > 10 && !readFileSync(file, 'utf8').includes(secret))
    const remembered = { database: readLastStart(config.dataFolder)?.database ?? '' }
    const later = loadConfig({ flags: {}, env: { PGPASSWORD: secret }, remembered, terminal: false })
    assert.deepEqual(later.db, config.db)
  })

  test('a database that is not there › its name, and never its password', async () => {
    const address = new URL(url)
    address.pathname = '/none'
    const config = aNode({ database: address.href })
    await refused(config, /^cannot start: postgres:\/\/berth@127\.0\.0\.1:\d+\/none: database "none" does not exist$/)
    assert.equal(existsSync(config.secretKey), false)
  })
})
