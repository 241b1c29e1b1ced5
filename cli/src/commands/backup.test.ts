import assert from 'node:assert/strict'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, suite, type TestContext, test } from 'node:test'
import { type Digest, digestOf, hexOf } from '@berth/oci'
import { type Core, createCore } from '@berth/server/app.ts'
import { isFault } from '@berth/server/base/fault.ts'
import { loadConfig } from '@berth/server/config/load.ts'
import { lockFolder } from '@berth/server/start/folder-lock.ts'
import { keysOf } from '@berth/server/start/prepare.ts'
import { prepareFolder, run } from '../../test/run.ts'

let home: string
let data: string
let folder: string
let core: Core
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'berth-backup-'))
  data = join(home, 'data')
  folder = join(home, 'backup')
  const { config } = await prepareFolder(data)
  // As a running server has it.
  core = await createCore(config, await keysOf(config))
})
afterEach(async () => {
  await core.dispose()
  rmSync(home, { recursive: true })
})

const backUp = (t: TestContext, ...flags: string[]) => run(t, ['backup', folder, '--data', data, ...flags])
const place = { registry: 'berth', repository: 'team/app' }

async function push(text: string): Promise<Digest> {
  const bytes = Buffer.from(text)
  const digest = digestOf('sha256', bytes)
  await core.registry.pushBlob(
    place,
    digest,
    (async function* () {
      yield bytes
    })(),
  )
  return digest
}

const blobFile = (root: string, digest: Digest) =>
  join(root, 'blobs', 'sha256', hexOf(digest).slice(0, 2), hexOf(digest))

/** What a server on a copy of the backup would give; undefined where it does not have the blob. */
async function readFromCopy(digest: Digest): Promise<string | undefined> {
  const restored = join(home, 'restored')
  cpSync(folder, restored, { recursive: true })
  const config = loadConfig({ flags: { data: restored, http: true }, env: {}, terminal: false })
  const copy = await createCore(config, await keysOf(config))
  try {
    const bytes = await (await copy.registry.getBlob(place, digest)).read()
    if (bytes instanceof Uint8Array) return Buffer.from(bytes).toString()
    return Buffer.concat(await Array.fromAsync(bytes, (chunk) => Buffer.from(chunk))).toString()
  } catch (error) {
    if (isFault(error, 'blobUnknown')) return undefined
    throw error
  } finally {
    await copy.dispose()
    rmSync(restored, { recursive: true })
  }
}

/** Everything below a folder, by path. */
const namesIn = (root: string) => readdirSync(root, { recursive: true }).map(String).sort()

suite('berth backup', () => {
  test('makes a data folder that a server can be started on, for its owner only', async (t) => {
    const digest = await push('a layer')
    const said = await backUp(t)
    assert.equal(said.code, 0, said.stderr)
    assert.match(said.stdout, /^\S+ is the server as of \S+Z: 1 blobs \(7 B\), 1 new \(7 B\), 0 removed\.\n$/)
    assert.equal(said.stderr, '')
    assert.equal(await readFromCopy(digest), 'a layer')
    for (const name of ['secret.key', 'bootstrap.json', 'last-start.json']) {
      assert.deepEqual(readFileSync(join(folder, name)), readFileSync(join(data, name)), name)
    }
    for (const name of ['.', 'berth.db', 'secret.key', 'bootstrap.json', 'backup.json', 'blobs']) {
      assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name)
    }
    assert.deepEqual(
      namesIn(folder).filter((name) => /\.new|-wal|-shm/.test(name)),
      [],
    )
  })

  test('copies what is new since the last time, and removes what nothing names any more', async (t) => {
    const [kept, gone] = [await push('kept'), await push('gone')]
    await backUp(t)
    const before = statSync(blobFile(folder, kept))
    await core.registry.deleteBlob(place, gone)
    const added = await push('added')
    assert.match((await backUp(t)).stdout, /: 2 blobs \(9 B\), 1 new \(5 B\), 1 removed\./)
    assert.equal(statSync(blobFile(folder, kept)).ino, before.ino)
    assert.equal(existsSync(blobFile(folder, gone)), false)
    assert.equal(await readFromCopy(added), 'added')
    assert.equal(await readFromCopy(gone), undefined)
  })

  test('leaves unfinished uploads behind', async (t) => {
    const { session } = await core.registry.startUpload(place)
    await backUp(t)
    assert.equal((await core.registry.getUpload(place, session)).session, session)
    const copy = new DatabaseSync(join(folder, 'berth.db'))
    t.after(() => copy.close())
    assert.deepEqual(copy.prepare('select * from upload_sessions').all(), [])
  })

  test('follows secrets that were put away, and certificates that were renewed', async (t) => {
    mkdirSync(join(data, 'tls'))
    writeFileSync(join(data, 'tls', 'ca.pem'), 'first')
    await backUp(t)
    assert.equal(readFileSync(join(folder, 'tls', 'ca.pem'), 'utf8'), 'first')
    rmSync(join(data, 'bootstrap.json'))
    writeFileSync(join(data, 'tls', 'ca.pem'), 'second')
    await backUp(t)
    assert.equal(existsSync(join(folder, 'bootstrap.json')), false)
    assert.equal(readFileSync(join(folder, 'tls', 'ca.pem'), 'utf8'), 'second')
  })

  test('leaves secrets out when told to, also those of an earlier copy', async (t) => {
    mkdirSync(join(data, 'tls'))
    writeFileSync(join(data, 'tls', 'ca.key'), 'a key')
    await backUp(t)
    const said = await backUp(t, '--without-secrets')
    assert.equal(said.code, 0)
    assert.match(said.stderr, /^berth: the secret key is \S+secret\.key, which is not copied; [^\n]+\n$/)
    assert.deepEqual(readdirSync(join(folder, 'tls')), [])
    const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile())
    assert.deepEqual(files.map(({ name }) => name).sort(), ['backup.json', 'berth.db', 'berth.lock', 'last-start.json'])
  })

  test('names blobs that cannot be copied, copies the others, and ends with 1', async (t) => {
    const [lost, damaged, good] = [await push('lost'), await push('damaged'), await push('good')]
    rmSync(blobFile(data, lost))
    writeFileSync(blobFile(data, damaged), 'DAMAGED')
    const { code, stdout, stderr } = await backUp(t)
    assert.equal(code, 1)
    assert.deepEqual(
      stderr.trim().split('\n').sort(),
      [`berth: ${damaged} is damaged`, `berth: ${lost} is missing`].sort(),
    )
    assert.match(stdout, /3 blobs .* 2 could not be copied; `berth fsck` tells more\.\n$/)
    assert.equal(await readFromCopy(good), 'good')
    assert.equal(existsSync(blobFile(folder, damaged)), false)
  })

  test('keeps the good copy of a blob that was damaged later, and a restore gives it again', async (t) => {
    const digest = await push('good bytes')
    await backUp(t)
    writeFileSync(blobFile(data, digest), 'BAD  BYTES')
    await core.db.write((tables) => tables.updateTable('blobs').set({ damaged_at: 'now' }).execute())
    assert.equal((await backUp(t)).code, 0)
    assert.equal(await readFromCopy(digest), 'good bytes')
  })

  test('trusts the size of what it has copied before; with --verify, it reads it', async (t) => {
    const [short, changed] = [await push('cut short'), await push('changed')]
    await backUp(t)
    truncateSync(blobFile(folder, short), 3)
    writeFileSync(blobFile(folder, changed), 'CHANGED')
    assert.match((await backUp(t)).stdout, / 1 new \(9 B\)/)
    assert.match((await backUp(t)).stdout, / 0 new /)
    assert.match((await backUp(t, '--verify')).stdout, / 1 new \(7 B\)/)
    assert.deepEqual([await readFromCopy(short), await readFromCopy(changed)], ['cut short', 'changed'])
  })

  test('takes away what a backup that was cut short has left', async (t) => {
    await backUp(t)
    const before = namesIn(folder)
    for (const name of ['berth.db.new', 'berth.db.new-wal', 'berth.db-wal', 'secret.key.new']) {
      writeFileSync(join(folder, name), 'half')
    }
    writeFileSync(join(folder, 'blobs', 'uploads', '0'.repeat(32)), 'half')
    assert.equal((await backUp(t)).code, 0)
    assert.deepEqual(namesIn(folder), before)
  })

  test('is not spoilt by the log of a server that was run on the backup and died', async (t) => {
    const digest = await push('not spoilt')
    await backUp(t)
    const log = join(folder, 'berth.db-wal')
    const server = new DatabaseSync(join(folder, 'berth.db'))
    server.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; DELETE FROM repository_blobs')
    const left = readFileSync(log)
    server.close()
    writeFileSync(log, left)
    assert.equal((await backUp(t)).code, 0)
    assert.equal(await readFromCopy(digest), 'not spoilt')
  })

  test('a damaged database › a sentence, and the earlier backup stays as it is', async (t) => {
    const digest = await push('from before')
    await backUp(t)
    await core.db.write((tables) => tables.deleteFrom('repository_blobs').execute())
    const source = new DatabaseSync(join(data, 'berth.db'))
    source.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    source.close()
    const file = readFileSync(join(data, 'berth.db'))
    const damaged = join(home, 'damaged')
    cpSync(data, damaged, { recursive: true })
    writeFileSync(join(damaged, 'berth.db'), file.fill(0x55, 8192, file.length - 4096))
    const said = await run(t, ['backup', folder, '--data', damaged])
    assert.equal(said.code, 1)
    assert.match(said.stderr, /berth\.db is damaged: /)
    assert.equal(await readFromCopy(digest), 'from before')
  })

  test('refuses a folder with anything else, of another server, in the data folder, or in use', async (t) => {
    const refusal = async (path: string, flags: readonly string[] = ['--data', data]) => {
      const { code, stdout, stderr } = await run(t, ['backup', path, ...flags])
      assert.deepEqual([code, stdout], [1, ''])
      return stderr.replaceAll(home, '')
    }
    const photos = join(home, 'photos')
    mkdirSync(photos)
    writeFileSync(join(photos, 'one.jpg'), '')
    assert.equal(await refusal(photos), 'berth: /photos is neither empty nor a backup\n')
    assert.deepEqual(readdirSync(photos), ['one.jpg'])
    const inside = 'lies in the data folder, and would be lost with it'
    assert.equal(await refusal(join(data, 'backup')), `berth: /data/backup ${inside}\n`)
    assert.equal(await refusal(data), `berth: /data ${inside}\n`)
    assert.equal(await refusal(join(data, '..backup')), `berth: /data/..backup ${inside}\n`)
    const link = join(home, 'link')
    symlinkSync(data, link)
    assert.equal(await refusal(join(link, 'new', 'backup')), `berth: /link/new/backup ${inside}\n`)
    assert.equal(await refusal(join(data, 'backup'), ['--data', link]), `berth: /data/backup ${inside}\n`)
    assert.deepEqual(
      readdirSync(data).filter((name) => /backup|new/.test(name)),
      [],
    )

    await backUp(t)
    const other = join(home, 'other')
    await prepareFolder(other)
    assert.equal(await refusal(folder, ['--data', other]), 'berth: /backup is the backup of another server\n')
    const lock = lockFolder(join(folder, 'berth.lock'))
    t.after(() => lock?.release())
    assert.equal(await refusal(folder), 'berth: another backup or a server is running on /backup\n')
    assert.equal(
      await refusal(join(home, 'new'), ['--data', photos]),
      'berth: /photos is not the data folder of a server; name it with --data\n',
    )
  })

  test('where no folder can be › a sentence', async (t) => {
    writeFileSync(join(home, 'file'), '')
    for (const [place, why] of [
      ['/proc/x', 'it cannot be made there'],
      ['/dev/null', 'it is not a folder, or below what is none'],
      [join(home, 'file', 'below'), 'it is not a folder, or below what is none'],
    ] as const) {
      const said = await run(t, ['backup', place, '--data', data])
      assert.deepEqual(said, { code: 1, stdout: '', stderr: `berth: no backup can be in ${place}: ${why}\n` })
    }
  })

  test('says what is elsewhere: a key with a place of its own, blobs in an object store', async (t) => {
    const key = join(home, 'elsewhere.key')
    cpSync(join(data, 'secret.key'), key)
    const said = await backUp(t, '--secret-key', key, '--blobs', 's3://bucket?region=here')
    assert.equal(said.code, 0)
    assert.deepEqual(said.stderr.split('\n'), [
      `berth: the secret key is ${key}, which is not copied; without it, secrets are lost`,
      'berth: the blobs are in an object store, and are not copied',
      '',
    ])
  })

  test('says that the key is not where it should be', async (t) => {
    const key = join(data, 'secret.key')
    rmSync(key)
    const said = await backUp(t)
    assert.deepEqual(
      [said.code, said.stderr],
      [0, `berth: the secret key should be ${key}, and is not there; without it, secrets are lost\n`],
    )
  })

  test('a server on PostgreSQL is told where to read on', async (t) => {
    const said = await backUp(t, '--database', 'postgres://berth@localhost/berth')
    assert.equal(said.code, 1)
    assert.match(said.stderr, /^berth: the database is PostgreSQL, .*docs\/operations\.md\n$/)
  })

  test('needs exactly one folder', async (t) => {
    for (const args of [['backup'], ['backup', 'one', 'two']]) {
      assert.equal((await run(t, [...args, '--data', data])).code, 2)
    }
  })
})
