/** When a write is acknowledged, and what a disk that fails to keep it leads to. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { recordDisk } from '../../../test/disk-record.ts'
import { isFault } from '../../base/fault.ts'
import type { Database } from './database.ts'
import type { Tables } from './tables/index.ts'

const disk = recordDisk()
const { openSqlite } = await import('./sqlite.ts')

const home = mkdtempSync(join(tmpdir(), 'berth-db-durable-'))
after(() => rmSync(home, { recursive: true }))

const addBlob = (digest: string) => (tables: Kysely<Tables>) =>
  tables.insertInto('blobs').values({ digest, size: 1, created_at: '' }).execute()

const log = 'berth.db-wal'
const ioError = () => Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })

/** Fails when it does not come true in ten seconds. */
async function until(isTrue: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !isTrue(); await nextTick()) assert.ok(Date.now() < deadline, `${isTrue}`)
}

describe('SQLite database, in a power cut', () => {
  let folder: string
  let file: string
  let db: Database
  let broken: unknown[]
  let observer: DatabaseSync
  beforeEach(async () => {
    disk.beforeSync = undefined
    folder = mkdtempSync(join(home, 'case-'))
    file = join(folder, 'berth.db')
    broken = []
    db = await openSqlite({ file, onBroken: (error) => broken.push(error) })
    observer = new DatabaseSync(file)
    disk.restart(folder)
  })
  afterEach(async () => {
    observer.close()
    await db.dispose()
  })

  /** What every other connection sees: what is committed, durable or not. */
  const committed = () =>
    observer
      .prepare('select digest from blobs order by digest')
      .all()
      .map((row) => row.digest)

  test('a write is acknowledged after a sync of the log that began when it was committed', async () => {
    const seen: unknown[] = []
    disk.beforeSync = () => void seen.push(committed())
    await db.write(addBlob('a'))
    disk.note('acknowledged')
    assert.deepEqual(seen, [['a']])
    disk.assertOrder([`sync ${log}`, 'acknowledged'])
  })

  test('a checkpoint that the disk fails ends all writing', async () => {
    await db.write(addBlob('a'))
    truncateSync(`${file}-wal`) // what it is to copy can no longer be read
    await until(() => broken.length > 0)
    await assert.rejects(db.write(addBlob('b')), (error) => isFault(error, 'unavailable'))
    assert.match(String(broken[0]), /disk I\/O error/)
    assert.equal(broken.length, 1)
  })

  test('a sync that has begun before the commit does not count for it', async () => {
    const seen: unknown[] = []
    const goOn = Promise.withResolvers<void>()
    disk.beforeSync = () => {
      seen.push(committed())
      return seen.length === 1 ? goOn.promise : undefined
    }
    const answers: string[] = []
    const write = (digest: string) => db.write(addBlob(digest)).then(() => answers.push(digest))
    const first = write('a')
    await until(() => seen.length > 0)
    const others = [write('b'), write('c')]
    await until(() => committed().length === 3)
    for (let i = 0; i < 100; i++) await nextTick()
    assert.deepEqual(answers, [])
    goOn.resolve()
    await Promise.all([first, ...others])
    assert.deepEqual(seen, [['a'], ['a', 'b', 'c']])
    assert.equal(answers[0], 'a')
  })

  test('a write without sync waits for no disk', async () => {
    await db.write(addBlob('a'), { sync: false })
    assert.deepEqual(disk.operations(), [])
  })

  test('what was written without sync, in any process, is on the disk when it is made durable', async () => {
    observer.exec("insert into blobs (digest, size, created_at) values ('b', 1, '')")
    await db.write(addBlob('a'), { sync: false })
    const seen: unknown[] = []
    disk.beforeSync = () => void seen.push(committed())
    await db.makeDurable()
    disk.note('durable')
    assert.deepEqual(seen, [['a', 'b']])
    disk.assertOrder([`sync ${log}`, 'durable'])
  })

  test('a new database has its name and its tables on disk when it is open', async () => {
    const own = mkdtempSync(join(home, 'case-'))
    disk.restart(own)
    const created = await openSqlite({ file: join(own, 'data', 'berth.db') })
    disk.note('open')
    disk.assertOrder(['make data', 'sync .', 'open'])
    disk.assertOrder(['sync data/berth.db-wal', 'open'])
    disk.assertOrder(['sync data', 'open'])
    await created.dispose()
  })

  test('a commit whose sync fails is `unavailable`, and so is every durable write after it', async () => {
    const failure = ioError()
    disk.beforeSync = () => {
      throw failure
    }
    const isRefused = (error: unknown) => isFault(error, 'unavailable') && error.cause === failure
    await assert.rejects(db.write(addBlob('a')), isRefused)
    disk.beforeSync = undefined // as Linux does: the next sync succeeds, though the pages are lost
    await assert.rejects(db.write(addBlob('b')), isRefused)
    await assert.rejects(db.write(addBlob('c')), isRefused)
    await assert.rejects(db.makeDurable(), isRefused)
    assert.deepEqual(committed(), ['a'], 'what is refused is not committed either')
    assert.deepEqual(disk.operations(), [`sync ${log}`], 'no sync is tried again')
    assert.deepEqual(broken, [failure])
  })

  test('commits that wait for the next sync are refused with the one that fails', async () => {
    const goOn = Promise.withResolvers<void>()
    disk.beforeSync = async () => {
      await goOn.promise
      throw ioError()
    }
    const first = assert.rejects(db.write(addBlob('a')), (error) => isFault(error, 'unavailable'))
    await until(() => disk.operations().length > 0)
    const second = assert.rejects(db.write(addBlob('b')), (error) => isFault(error, 'unavailable'))
    await until(() => committed().length === 2)
    goOn.resolve()
    await Promise.all([first, second])
    assert.equal(disk.operations().length, 1)
    assert.equal(broken.length, 1)
  })

  test('a full disk at the sync is no smaller failure: what was written may be gone', async () => {
    disk.beforeSync = () => {
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    }
    await assert.rejects(db.write(addBlob('a')), (error) => isFault(error, 'unavailable'))
    disk.beforeSync = undefined
    await assert.rejects(db.write(addBlob('b')), (error) => isFault(error, 'unavailable'))
    assert.equal(broken.length, 1)
  })

  test('reads, and writes that need not be durable, go on until the process ends', async () => {
    disk.beforeSync = () => {
      throw ioError()
    }
    await assert.rejects(db.write(addBlob('a')))
    await db.write(addBlob('b'), { sync: false })
    assert.equal((await db.read((tables) => tables.selectFrom('blobs').selectAll().execute())).length, 2)
  })

  test('opened anew, it writes what the log held once more, and accepts writes', async () => {
    disk.beforeSync = () => {
      throw ioError()
    }
    await assert.rejects(db.write(addBlob('a')))
    disk.beforeSync = undefined
    assert.ok(statSync(join(folder, log)).size > 0)
    const again = await openSqlite({ file })
    assert.equal(statSync(join(folder, log)).size, 0, 'no gap is left for later commits to stand behind')
    await again.write(addBlob('b'))
    assert.deepEqual(committed(), ['a', 'b'])
    await again.dispose()
  })

  test('it opens although others use the log', async () => {
    observer.exec('BEGIN')
    committed()
    await db.write(addBlob('a'))
    const again = await openSqlite({ file })
    await again.write(addBlob('b'))
    await again.dispose()
    observer.exec('COMMIT')
    assert.deepEqual(committed(), ['a', 'b'])
  })
})
