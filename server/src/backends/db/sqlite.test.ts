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
import { type Kysely, sql } from 'kysely'
import { onSmallDisk } from '../../../test/small-disk.ts'
import { isFault } from '../../base/fault.ts'
import type { Database } from './database.ts'
import { migrations } from './migrations/index.ts'
import { openSqlite, type SqliteOptions } from './sqlite.ts'
import type { Tables } from './tables/index.ts'

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

const addBlob =
  (digest: string, size = 1) =>
  (db: Kysely<Tables>) =>
    db.insertInto('blobs').values({ digest, size, created_at: '2026-01-02T03:04:05.000Z' }).execute()

const countBlobs = async (db: Kysely<Tables>): Promise<number> => {
  const row = await db
    .selectFrom('blobs')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return row.count
}

/** What is asked often, and the index that must answer it. */
const plans = [
  [
    'a page of the catalog',
    sql`select name from repositories where registry_id = 1 and manifest_count > 0 and name > 'a' order by name limit 100`,
    /repositories_catalog/,
  ],
  ['a tag', sql`select manifest_id from tags where repository_id = 1 and name = 'latest'`, /PRIMARY KEY/],
  [
    'a page of tags',
    sql`select name from tags where repository_id = 1 and name > 'a' order by name limit 100`,
    /PRIMARY KEY/,
  ],
  ['the tags of a manifest', sql`select name from tags where manifest_id = 1`, /tags_manifest_id/],
  [
    'the referrers of a manifest',
    sql`select digest from manifests where repository_id = 1 and subject_digest = 'a' order by digest`,
    /manifests_referrers/,
  ],
  [
    'a manifest',
    sql`select id from manifests where repository_id = 1 and digest = 'a'`,
    /repository_id=\? AND digest=\?/,
  ],
  [
    'who needs a blob',
    sql`select manifest_id from manifest_references where digest = 'a'`,
    /manifest_references_digest/,
  ],
  [
    'who may read a blob',
    sql`select repository_id from repository_blobs where digest = 'a'`,
    /repository_blobs_digest/,
  ],
  [
    'abandoned upload sessions',
    sql`select id from upload_sessions where updated_at < '2026' order by updated_at`,
    /upload_sessions_updated_at/,
  ],
] as const

for (const kind of ['file', 'memory'] as const) {
  describe(`SQLite database in ${kind}`, () => {
    let db: Database
    beforeEach(async () => {
      db = await open(kind === 'memory' ? { file: ':memory:' } : {})
    })

    test('what a write stores, a read finds', async () => {
      await db.write(addBlob('a', 2 ** 40))
      const row = await db.read((tables) => tables.selectFrom('blobs').selectAll().executeTakeFirst())
      assert.deepEqual(row, { digest: 'a', size: 2 ** 40, created_at: '2026-01-02T03:04:05.000Z' })
    })

    test('bytes come back as bytes and ids as numbers', async () => {
      const id = await db.write(aRegistry)
      const sealed = new Uint8Array([0, 1, 255])
      const rows = await db.write((tables) =>
        tables
          .insertInto('registry_passwords')
          .values({ registry_id: id, name: 'password', sealed, created_at: '' })
          .returningAll()
          .execute(),
      )
      assert.deepEqual(rows, [{ registry_id: 1, name: 'password', sealed, created_at: '' }])
    })

    test('a handle throws after its end', async () => {
      const kept: Kysely<Tables>[] = []
      await db.read(async (handle) => kept.push(handle))
      await db.write(async (handle) => kept.push(handle))
      await assert.rejects(
        db.write(async (handle) => {
          kept.push(handle)
          throw new Error('rolled back')
        }),
        /rolled back/,
      )
      assert.equal(kept.length, 3)
      for (const handle of kept) await assert.rejects(countBlobs(handle), /this database handle has ended/)
    })

    test('a handle opens no transaction or connection of its own', async () => {
      for (const run of [db.read.bind(db), db.write.bind(db)]) {
        await run(async (handle) => {
          await assert.rejects(async () => handle.transaction().execute(async () => {}))
          await assert.rejects(async () => handle.destroy())
        })
      }
    })

    test('inside a write, the database itself is out of reach', async () => {
      await db.write(async (handle) => {
        await assert.rejects(db.read(countBlobs), /use the handle/)
        await assert.rejects(db.write(countBlobs), /use the handle/)
        assert.equal(await countBlobs(handle), 0)
      })
    })

    test('work that a write leaves behind may use the database afterwards', async () => {
      let later: Promise<number> | undefined
      const ended = Promise.withResolvers<void>()
      await db.write(async () => {
        later = ended.promise.then(() => db.read(countBlobs))
      })
      ended.resolve()
      assert.equal(await later, 0)
    })

    test('a write that fails is rolled back, and the queue goes on', async () => {
      const results = await Promise.allSettled([
        db.write(addBlob('first')),
        db.write(async (tables) => {
          await addBlob('second')(tables)
          throw new Error('changed my mind')
        }),
        db.write(async (tables) => {
          await addBlob('third')(tables)
          await addBlob('first')(tables)
        }),
        db.write(addBlob('fourth')),
      ])
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      )
      const rows = await db.read((tables) => tables.selectFrom('blobs').select('digest').orderBy('digest').execute())
      assert.deepEqual(rows, [{ digest: 'first' }, { digest: 'fourth' }])
    })

    test('a write that loses its transaction stores nothing more', async () => {
      await assert.rejects(
        db.write(async (tables) => {
          await addBlob('a')(tables)
          await sql`rollback`.execute(tables) // as SQLite itself does when the disk is full
          await addBlob('b')(tables)
        }),
        /has ended this transaction/,
      )
      assert.equal(await db.read(countBlobs), 0)
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

    test('a read sees nothing of a write that is not committed', async () => {
      const written = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const write = db.write(async (tables) => {
        await addBlob('a')(tables)
        written.resolve()
        await goOn.promise
        throw new Error('undone')
      })
      await written.promise
      const read = db.read(countBlobs)
      goOn.resolve()
      await assert.rejects(write, /undone/)
      assert.equal(await read, 0)
    })

    test('after dispose everything is refused, but what was queued is done', async () => {
      const queued = [db.write(addBlob('a')), db.write(addBlob('b'))]
      await db.dispose()
      await Promise.all(queued)
      await assert.rejects(db.read(countBlobs), /closed/)
      await assert.rejects(db.write(countBlobs), /closed/)
      await db.dispose()
    })

    test('deleting a registry deletes everything that is in it', async () => {
      await db.write(async (tables) => {
        await aTaggedManifest(tables)
        await tables.deleteFrom('registries').execute()
        for (const table of ['repositories', 'manifests', 'manifest_references', 'tags', 'repository_blobs'] as const) {
          assert.deepEqual(await tables.selectFrom(table).selectAll().execute(), [], table)
        }
      })
    })

    test('deleting a manifest deletes its tags', async () => {
      await db.write(async (tables) => {
        await aTaggedManifest(tables)
        await tables.deleteFrom('manifests').execute()
        assert.deepEqual(await tables.selectFrom('tags').selectAll().execute(), [])
        assert.deepEqual(await tables.selectFrom('manifest_references').selectAll().execute(), [])
      })
    })

    test('text compares byte by byte', async () => {
      await db.write(async (tables) => {
        for (const digest of ['b', 'B', 'a', 'ä', '_', '1', 'a-']) await addBlob(digest)(tables)
      })
      const rows = await db.read((tables) => tables.selectFrom('blobs').select('digest').orderBy('digest').execute())
      assert.deepEqual(
        rows.map((row) => row.digest),
        ['1', 'B', '_', 'a', 'a-', 'b', 'ä'],
      )
    })

    test('a value of the wrong type is refused', async () => {
      await assert.rejects(db.write(addBlob('a', 'many' as unknown as number)), /cannot store TEXT/)
    })

    for (const [what, query, index] of plans) {
      test(`${what} is found by an index`, async () => {
        const { rows } = await db.read((tables) => sql<{ detail: string }>`explain query plan ${query}`.execute(tables))
        const plan = rows.map((row) => row.detail).join('; ')
        assert.match(plan, index)
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

  test('two databases on one file lose nothing', async () => {
    const databases = [await open(), await open()]
    const writes = databases.flatMap((db, d) =>
      Array.from({ length: 200 }, (_, i) => db.write(addBlob(`${d}-${i}`), { sync: i % 10 === 0 })),
    )
    await Promise.all(writes)
    for (const db of databases) assert.equal(await db.read(countBlobs), 400)
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

  test('a write without sync is seen by others at once', async () => {
    const [one, other] = [await open(), await open()]
    await one.write(addBlob('a'), { sync: false })
    assert.equal(await other.read(countBlobs), 1)
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

async function aRegistry(tables: Kysely<Tables>): Promise<number> {
  const { id } = await tables
    .insertInto('registries')
    .values({
      name: 'berth',
      sku: 'Premium',
      admin_user_enabled: 1,
      anonymous_pull_enabled: 0,
      sparse_manifests_enabled: 0,
      created_at: '',
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

async function aTaggedManifest(tables: Kysely<Tables>): Promise<void> {
  const times = { created_at: '', updated_at: '' }
  const registry_id = await aRegistry(tables)
  const repository = await tables
    .insertInto('repositories')
    .values({ registry_id, name: 'library/alpine', ...times })
    .returning(['id', 'manifest_count'])
    .executeTakeFirstOrThrow()
  assert.deepEqual(repository, { id: 1, manifest_count: 0 })
  const manifest = await tables
    .insertInto('manifests')
    .values({
      repository_id: repository.id,
      digest: 'sha256:a',
      media_type: 'application/vnd.oci.image.manifest.v1+json',
      size: 2,
      image_size: 2,
      bytes: Buffer.from('{}'),
      ...times,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const owner = { repository_id: repository.id, manifest_id: manifest.id }
  await tables
    .insertInto('manifest_references')
    .values({ manifest_id: manifest.id, role: 'layer', digest: 'b' })
    .execute()
  await tables
    .insertInto('tags')
    .values({ ...owner, name: 'latest', ...times })
    .execute()
  await tables
    .insertInto('repository_blobs')
    .values({ repository_id: repository.id, digest: 'b', created_at: '' })
    .execute()
}

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
