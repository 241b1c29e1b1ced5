/** What goes on while a backup is made; what one is good for is told in cli/src/commands/backup.test.ts. */
import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Digest, digestOf, hexOf } from '@berth/oci'
import { type Core, createCore } from '../app.ts'
import { openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { keysOf, prepare } from '../start/prepare.ts'
import { backUp } from './backup.ts'

async function* inOneChunk(bytes: Uint8Array) {
  yield bytes
}

const place = { registry: 'berth', repository: 'team/app' }

describe('a backup', () => {
  const home = mkdtempSync(join(tmpdir(), 'berth-backup-'))
  const flags = { data: join(home, 'data'), http: true, port: '0' }
  let config: Config
  let core: Core
  let digests: readonly Digest[]
  before(async () => {
    const prepared = await prepare(loadConfig({ flags, env: {}, terminal: false }))
    prepared.lock.release()
    config = prepared.config
    core = await createCore(config, await keysOf(config))
    digests = (await Promise.all(Array.from({ length: 30 }, (_, index) => push(`blob ${index}`)))).sort()
  })
  after(async () => {
    await core.dispose()
    rmSync(home, { recursive: true })
  })

  async function push(text: string): Promise<Digest> {
    const bytes = Buffer.from(text)
    const digest = digestOf('sha256', bytes)
    await core.registry.pushBlob(place, digest, inOneChunk(bytes))
    return digest
  }

  const fileOf = (root: string, digest: Digest) =>
    join(root, 'blobs', 'sha256', hexOf(digest).slice(0, 2), hexOf(digest))

  test('takes no notice of what is pushed meanwhile, and no offence at what is collected meanwhile', async () => {
    const folder = join(home, 'backup')
    const [gone, kept] = [digests.at(-1)!, digests[0]!]
    let added: Promise<Digest> | undefined
    let collected: Promise<void> | undefined
    const report = await backUp({
      config,
      folder,
      verify: false,
      withSecrets: true,
      onProgress() {
        added ??= push('pushed while a backup was made')
        collected ??= collect(gone)
      },
    })
    await collected
    assert.ok(!existsSync(fileOf(config.dataFolder, gone)), 'it was collected before it was copied')
    assert.deepEqual(report.troubles, [])
    assert.ok(existsSync(fileOf(folder, kept)))
    const ownerOf = (root: string) => readFileSync(join(root, 'blobs', 'owner'), 'utf8')
    assert.equal(ownerOf(folder), ownerOf(config.dataFolder))
    // The database was copied a second time, so what came meanwhile is in it, with its bytes.
    assert.equal(report.counts.blobs, digests.length)
    assert.equal(report.counts.copied, digests.length)
    assert.ok(existsSync(fileOf(folder, (await added)!)))
  })

  test('of a server whose key is a link has the key', async () => {
    const [key, elsewhere] = [join(config.dataFolder, 'secret.key'), join(home, 'elsewhere.key')]
    renameSync(key, elsewhere)
    symlinkSync(elsewhere, key)
    const folder = join(home, 'with-a-link')
    await backUp({ config, folder, verify: false, withSecrets: true })
    const copy = join(folder, 'secret.key')
    assert.deepEqual([lstatSync(copy).isFile(), readFileSync(copy)], [true, readFileSync(elsewhere)])
  })

  test('that comes to nothing can be tried again, into the same folder', async () => {
    const unfounded = loadConfig({ flags: { ...flags, data: join(home, 'unfounded') }, env: {}, terminal: false })
    mkdirSync(unfounded.dataFolder)
    const db = await openDatabase(unfounded.db, systemClock)
    await db.dispose()
    const options = { folder: join(home, 'of-nothing'), verify: false, withSecrets: true }
    for (const time of ['once', 'twice']) {
      await assert.rejects(backUp({ ...options, config: unfounded }), /not come to the end of its first start/, time)
    }
    await backUp({ ...options, config })
  })

  /** As a collection does when the grace is over. */
  async function collect(digest: Digest): Promise<void> {
    rmSync(fileOf(config.dataFolder, digest))
    await core.registry.deleteBlob(place, digest)
  }
})
