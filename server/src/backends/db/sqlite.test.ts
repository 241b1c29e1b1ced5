import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import { promisify } from 'node:util'
import { sql } from 'kysely'
import { onSmallDisk } from '../../../test/small-disk.ts'
import { isFault } from '../../base/fault.ts'
import { addBlob, countBlobs, databaseContract, indexedQueries } from './database.contract.ts'
import type { Database } from './database.ts'
import { migrations } from './migrations/index.ts'
import { openSqlite, type SqliteOptions } from './sqlite.ts'

let home: string
let file: string
let opened: Database[] = []
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'berth-db-'))
})
after(() => rm(home, { recursive: true }))
beforeEach(async () => {
  file = join(await mkdtemp(join(home, 'case-')), 'berth.sqlite')
})
afterEach(async () => {
  await Promise.all(opened.map((db) => db.dispose()))
  opened = []
})

async function open(options: Partial<SqliteOptions> = {}): Promise<Database> {
  const db = await openSqlite({ file, ...options })
  opened.push(db)
  return db
}

for (const kind of ['file', 'memory'] as const) {
  const opening = async () => {
    const path = kind === 'memory' ? ':memory:' : join(await mkdtemp(join(home, 'contract-')), 'berth.sqlite')
    const db = await openSqlite({ file: path })
    const openAgain = kind === 'memory' ? undefined : () => openSqlite({ file: path })
    return { db, openAgain, dispose: () => db.dispose() }
  }
  databaseContract(`SQLite database in ${kind}`, opening, { exclusiveHere: true })

  describe(`SQLite database in ${kind}, besides`, () => {
    let db: Database
    beforeEach(async () => {
      db = await open(kind === 'memory' ? { file: ':memory:' } : {})
    })

    test('writes run one after the other, in the order they came', async () => {
      const seen: number[] = []
      await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          db.write(async (tables) => {
            seen.push(await countBlobs(tables))
            await nextTick()
            await addBlob(`${i}`)(tables)
          }),
        ),
      )
      assert.deepEqual(
        seen,
        Array.from({ length: 20 }, (_, i) => i),
      )
    })

    test('a value of the wrong type is refused by its name', async () => {
      await assert.rejects(db.write(addBlob('a', 'many' as unknown as number)), /cannot store TEXT/)
    })

    for (const { what, query, sqlite } of indexedQueries) {
      test(`${what} is found by an index`, async () => {
        const { rows } = await db.read((tables) => sql<{ detail: string }>`explain query plan ${query}`.execute(tables))
        const plan = rows.map((row) => row.detail).join('; ')
        assert.match(plan, sqlite)
        assert.doesNotMatch(plan, /SCAN|TEMP B-TREE/)
      })
    }
  })
}

describe('SQLite database on disk', () => {
  test('the file is its owner’s only', { skip: process.platform === 'win32' && 'no modes' }, async () => {
    const db = await open()
    await db.write(addBlob('a'))
    for (const suffix of ['', '-wal', '-shm']) assert.equal((await stat(file + suffix)).mode & 0o777, 0o600, suffix)
  })

  test('reads cannot write', async () => {
    const db = await open()
    await assert.rejects(db.read(addBlob('a')), /readonly/)
  })

  test('opening again changes nothing', async () => {
    const first = await open()
    await first.write(addBlob('a'))
    await first.dispose()
    const second = await open()
    assert.equal(await second.read(countBlobs), 1)
    const done = await second.read((tables) => sql<{ name: string }>`select name from kysely_migration`.execute(tables))
    assert.deepEqual(
      done.rows.map((row) => row.name),
      Object.keys(migrations),
    )
  })

  test('many may open a new file at once', async () => {
    await Promise.all([open(), open(), open(), runInProcess('await db.read(countBlobs)'), runInProcess('')])
    const db = await open()
    assert.equal(await db.read(countBlobs), 0)
  })

  test('a database that a newer program has used is refused by name', async () => {
    await (await open()).dispose()
    const raw = new DatabaseSync(file)
    raw.exec("insert into kysely_migration values ('9999-from-the-future', '2030-01-01T00:00:00.000Z')")
    raw.close()
    await assert.rejects(open(), /used by a newer version of Berth.*9999-from-the-future/)
  })

  test('two processes on one file lose nothing, and neither stands still', async () => {
    const db = await open()
    const writeMany = "await Promise.all(Array.from({ length: 200 }, (_, i) => db.write(addBlob('child-' + i))))"
    const child = runInProcess(writeMany)
    let turns = 0
    const spin = setInterval(() => turns++, 1)
    await Promise.all(Array.from({ length: 200 }, (_, i) => db.write(addBlob(`parent-${i}`))))
    await child
    clearInterval(spin)
    assert.equal(await db.read(countBlobs), 400)
    assert.ok(turns > 0)
  })

  test('a write that waits for a lock lets everything else go on', async () => {
    const db = await open()
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    let done = false
    const write = db.write(addBlob('a')).then(() => {
      done = true
    })
    for (let i = 0; i < 100; i++) await nextTick()
    assert.equal(await db.read(countBlobs), 0)
    assert.equal(done, false)
    other.exec('COMMIT')
    other.close()
    await write
    assert.equal(await db.read(countBlobs), 1)
  })

  test('a lock that is held for 30 seconds is `unavailable`, and the next write tries anew', async () => {
    let now = 0
    const db = await open({ clock: { now: () => (now += 10_000) } })
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    await assert.rejects(
      db.write(addBlob('a')),
      (error) => isFault(error, 'unavailable') && error.cause instanceof Error,
    )
    other.exec('ROLLBACK')
    other.close()
    await db.write(addBlob('a'))
    assert.equal(await db.read(countBlobs), 1)
  })

  test('what was acknowledged survives the death of the process', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program(dieAfterWrites)])
    const [, signal] = await once(child, 'exit')
    assert.equal(signal, 'SIGKILL')
    const db = await open()
    assert.equal(await db.read(countBlobs), 2)
  })

  test('a full disk is `unavailable`, and writes go on when there is room again', async (context) => {
    const folder = join(file, '..')
    await onSmallDisk(context, folder, async ({ enlarge }) => {
      const db = await open()
      const fill = (name: string) => db.write(addBlob(name.padEnd(300_000, '.')))
      await assert.rejects(
        async () => {
          for (let i = 0; i < 20; i++) await fill(`${i}`)
        },
        (error) => isFault(error, 'unavailable') && error.cause instanceof Error,
      )
      const reopened = await open()
      assert.ok((await reopened.read(countBlobs)) > 0, 'it can still be opened to read')
      await reopened.dispose()
      enlarge()
      await fill('room again')
      await db.dispose()
    })
  })
})

const dieAfterWrites = `
  await db.write(addBlob('a'))
  await db.write(addBlob('b'), { sync: false })
  process.kill(process.pid, 'SIGKILL')`

/** A whole program: `body` runs with an open `db` on this test's file. */
function program(body: string): string {
  return `
    import { openSqlite } from ${JSON.stringify(new URL('./sqlite.ts', import.meta.url))}
    const db = await openSqlite({ file: ${JSON.stringify(file)} })
    const addBlob = (digest) => (tables) => tables.insertInto('blobs').values({ digest, size: 1, created_at: '' }).execute()
    const countBlobs = (tables) => tables.selectFrom('blobs').selectAll().execute()
    ${body}
    await db.dispose()`
}

async function runInProcess(body: string): Promise<void> {
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program(body)])
}
