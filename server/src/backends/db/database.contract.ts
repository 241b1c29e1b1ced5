/** What every database promises, whichever dialect is behind it. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import type { Database } from './database.ts'
import { fixedQuery } from './fixed-query.ts'
import { migrations } from './migrations/index.ts'
import type { Tables } from './tables/index.ts'

export interface TestedDatabase {
  readonly db: Database
  /** The same data once more, as another process has it; undefined where there is one process only. */
  readonly openAgain: (() => Promise<Database>) | undefined
  /** Ends `db`, and removes the data. */
  dispose(): Promise<void>
}

export interface ContractOptions {
  /** Why nothing of it can be tried here. */
  readonly skip?: string | false
  /** Whether `exclusively` keeps out only those who use the same `Database`, since others are kept out otherwise. */
  readonly exclusiveHere?: boolean
}

const created_at = '2026-01-02T03:04:05.000Z'

export const addBlob =
  (digest: string, size = 1) =>
  async (db: Kysely<Tables>): Promise<void> => {
    await db.insertInto('blobs').values({ digest, size, created_at }).execute()
  }

export const countBlobs = async (db: Kysely<Tables>): Promise<number> => {
  const row = await db
    .selectFrom('blobs')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return row.count
}

const digestsOf = async (db: Database): Promise<string[]> => {
  const rows = await db.read((tables) => tables.selectFrom('blobs').select('digest').orderBy('digest').execute())
  return rows.map((row) => row.digest)
}

const sizeOfBlob = fixedQuery<{ digest: string }>()((db, param) =>
  db
    .selectFrom('blobs')
    .where('digest', '=', param('digest'))
    .where('digest', '<=', param('digest'))
    .select(['size', 'created_at']),
)

/** open: a new, empty database each time. */
export function databaseContract(
  name: string,
  open: () => Promise<TestedDatabase>,
  options: ContractOptions = {},
): void {
  describe(name, { skip: options.skip ?? false }, () => {
    let tested: TestedDatabase
    let db: Database
    const others: Database[] = []
    beforeEach(async () => {
      tested = await open()
      db = tested.db
    })
    afterEach(async () => {
      await Promise.all(others.splice(0).map((other) => other.dispose()))
      await tested.dispose()
    })

    /** Two ways in, as two processes have them; twice the same one where there is one process only. */
    async function two(): Promise<readonly [Database, Database]> {
      if (tested.openAgain === undefined) return [db, db]
      const other = await tested.openAgain()
      others.push(other)
      return [db, other]
    }

    test('what a write stores, a read finds', async () => {
      const largest = Number.MAX_SAFE_INTEGER
      await db.write(addBlob('a', largest))
      const row = await db.read((tables) =>
        tables.selectFrom('blobs').select(['digest', 'size', 'created_at', 'damaged_at']).executeTakeFirst(),
      )
      assert.deepEqual(row, { digest: 'a', size: largest, created_at, damaged_at: null })
    })

    test('bytes come back as bytes, and numbers as numbers, whether stored, counted or added up', async () => {
      const sealed = randomBytes(1000)
      const rows = await db.write(async (tables) => {
        const registry_id = await aRegistry(tables)
        await tables
          .insertInto('registry_passwords')
          .values({ registry_id, name: 'password', sealed, created_at })
          .execute()
        return tables.selectFrom('registry_passwords').selectAll().execute()
      })
      assert.deepEqual(
        rows.map((row) => ({ ...row, sealed: Buffer.from(row.sealed) })),
        [{ registry_id: 1, name: 'password', sealed, created_at }],
      )
      assert.ok(rows[0]?.sealed instanceof Uint8Array)
      await db.write(async (tables) => {
        await addBlob('a', 2 ** 40)(tables)
        await addBlob('b', 2 ** 41)(tables)
      })
      const sums = await db.read((tables) =>
        tables
          .selectFrom('blobs')
          .select(({ fn }) => [
            fn.countAll<number>().as('count'),
            fn.sum<number>('size').as('sum'),
            fn.max('size').as('max'),
          ])
          .executeTakeFirstOrThrow(),
      )
      assert.deepEqual(sums, { count: 2, sum: 3 * 2 ** 40, max: 2 ** 41 })
    })

    test('lengths are counted in bytes', async () => {
      await db.write(addBlob('ä🐳'))
      const row = await db.read((tables) =>
        tables
          .selectFrom('blobs')
          .select(({ fn }) => fn<number>('octet_length', ['digest']).as('bytes'))
          .executeTakeFirst(),
      )
      assert.deepEqual(row, { bytes: 6 })
    })

    test('an insert gives back its row, and every change says how many rows it changed', async () => {
      await db.write(async (tables) => {
        const made = await tables
          .insertInto('blobs')
          .values({ digest: 'a', size: 1, created_at })
          .returning(['size'])
          .execute()
        assert.deepEqual(made, [{ size: 1 }])
        const again = await tables
          .insertInto('blobs')
          .values({ digest: 'a', size: 2, created_at })
          .onConflict((conflict) => conflict.doNothing())
          .returning('size')
          .executeTakeFirst()
        assert.equal(again, undefined)
        await addBlob('b')(tables)
        const updated = await tables.updateTable('blobs').set({ size: 5 }).executeTakeFirst()
        assert.equal(updated.numUpdatedRows, 2n)
        const deleted = await tables.deleteFrom('blobs').where('digest', '=', 'none').executeTakeFirst()
        assert.equal(deleted.numDeletedRows, 0n)
      })
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
        await assert.rejects(db.select(sizeOfBlob, { digest: 'a' }), /use the handle/)
        await assert.rejects(db.write(countBlobs), /use the handle/)
        await assert.rejects(db.makeDurable(), /use the handle/)
        await assert.rejects(
          db.exclusively('test', async () => {}),
          /use the handle/,
        )
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

    test('a write that fails is rolled back, and the others go on', async () => {
      const [one] = await Promise.allSettled([db.write(addBlob('first')), db.write(addBlob('other'))])
      const results = await Promise.allSettled([
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
        [one, ...results].map((result) => result.status),
        ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
      )
      assert.deepEqual(await digestsOf(db), ['first', 'fourth', 'other'])
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

    test('a write sees what it has written, and nobody else does before it ends', async () => {
      const written = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const write = db.write(async (tables) => {
        await addBlob('a')(tables)
        assert.equal(await countBlobs(tables), 1)
        written.resolve()
        await goOn.promise
        throw new Error('undone')
      })
      await written.promise
      const read = db.read(countBlobs)
      const select = db.select(sizeOfBlob, { digest: 'a' })
      goOn.resolve()
      await assert.rejects(write, /undone/)
      assert.equal(await read, 0)
      assert.deepEqual(await select, [])
    })

    test('what is written is seen by other processes at once, synced or not', async () => {
      const [one, other] = await two()
      for (const [sync, digest] of [
        [true, 'a'],
        [false, 'b'],
      ] as const) {
        await one.write(addBlob(digest, 7), { sync })
        await nextTick() // another process hears of it in a later turn at the earliest
        assert.deepEqual(await other.select(sizeOfBlob, { digest }), [{ size: 7, created_at }])
        await one.write((tables) => tables.deleteFrom('blobs').where('digest', '=', digest).execute(), { sync })
        await nextTick()
        assert.deepEqual(await other.select(sizeOfBlob, { digest }), [])
      }
    })

    test('a fixed query takes its parameters anew each time, wherever they stand', async () => {
      await db.write(async (tables) => {
        for (const [digest, size] of [['a', 1], ['b', 2]] as const) await addBlob(digest, size)(tables) // biome-ignore format: pairs
      })
      const ask = (digest: string) => db.select(sizeOfBlob, { digest })
      assert.deepEqual(await Promise.all(['a', 'b', 'none', 'a'].map(ask)), [
        [{ size: 1, created_at }],
        [{ size: 2, created_at }],
        [],
        [{ size: 1, created_at }],
      ])
    })

    test('many reads and fixed queries at once each get their own answer', async () => {
      await db.write(async (tables) => {
        for (let i = 0; i < 50; i++) await addBlob(`${i}`, i)(tables)
      })
      const answers = await Promise.all(
        Array.from({ length: 300 }, async (_, i) => {
          const digest = `${i % 50}`
          if (i % 2 === 0) return (await db.select(sizeOfBlob, { digest }))[0]?.size
          const found = await db.read((tables) =>
            tables.selectFrom('blobs').where('digest', '=', digest).select('size').executeTakeFirst(),
          )
          return found?.size
        }),
      )
      assert.deepEqual(
        answers,
        Array.from({ length: 300 }, (_, i) => i % 50),
      )
    })

    test('of many writers that read a number and write the next, none gets lost', async () => {
      const ways = await two()
      await db.write((tables) =>
        tables.insertInto('login_failures').values({ subject: 'counter', failures: 0, failed_at: '' }).execute(),
      )
      const count = (by: Database) =>
        by.write(async (tables) => {
          const counter = tables.selectFrom('login_failures').where('subject', '=', 'counter').select('failures')
          const { failures } = await counter.executeTakeFirstOrThrow()
          await nextTick()
          await tables
            .updateTable('login_failures')
            .set({ failures: failures + 1 })
            .execute()
          return failures + 1
        })
      const numbers = await Promise.all(ways.flatMap((by) => Array.from({ length: 40 }, () => count(by))))
      assert.deepEqual(
        numbers.sort((one, other) => one - other),
        Array.from({ length: 80 }, (_, i) => i + 1),
      )
    })

    test('of many that add one by an upsert, none gets lost', async () => {
      const ways = await two()
      const add = (by: Database) =>
        by.write(
          (tables) =>
            tables
              .insertInto('login_failures')
              .values({ subject: 'upsert', failures: 1, failed_at: '' })
              .onConflict((conflict) =>
                conflict
                  .column('subject')
                  .doUpdateSet((update) => ({ failures: update('login_failures.failures', '+', 1) })),
              )
              .execute(),
          { sync: false },
        )
      await Promise.all(ways.flatMap((by) => Array.from({ length: 40 }, () => add(by))))
      const rows = await db.read((tables) => tables.selectFrom('login_failures').select('failures').execute())
      assert.deepEqual(rows, [{ failures: 80 }])
    })

    test('two that each look before they write do not both get in', async () => {
      const ways = await two()
      const onlyOne = (by: Database, digest: string) =>
        by.write(async (tables) => {
          if ((await countBlobs(tables)) > 0) return false
          await nextTick()
          await addBlob(digest)(tables)
          return true
        })
      const done = await Promise.all(ways.flatMap((by, i) => [onlyOne(by, `${i}-a`), onlyOne(by, `${i}-b`)]))
      assert.equal(done.filter(Boolean).length, 1)
      assert.equal(await db.read(countBlobs), 1)
    })

    test('many that make what is not there yet all find the same', async () => {
      const ways = await two()
      const ensure = (by: Database) =>
        by.write(async (tables) => {
          const known = await tables
            .selectFrom('registries')
            .where('name', '=', 'berth')
            .select('id')
            .executeTakeFirst()
          return known?.id ?? aRegistry(tables)
        })
      const ids = await Promise.all(ways.flatMap((by) => Array.from({ length: 8 }, () => ensure(by))))
      assert.equal(new Set(ids).size, 1)
      assert.equal(ids.length, 16)
    })

    test('writes of several processes at once lose nothing', async () => {
      const ways = await two()
      await Promise.all(
        ways.flatMap((by, w) =>
          Array.from({ length: 100 }, (_, i) => by.write(addBlob(`${w}-${i}`), { sync: i % 10 === 0 })),
        ),
      )
      for (const by of ways) assert.equal(await by.read(countBlobs), 200)
    })

    test('what runs exclusively under one name runs one at a time, and a failure keeps nobody out', async () => {
      const ways = options.exclusiveHere ? ([db, db] as const) : await two()
      let inside = 0
      let most = 0
      const enter = (by: Database, name: string) =>
        by.exclusively(name, async () => {
          inside++
          most = Math.max(most, inside)
          await by.read(countBlobs)
          await by.write(addBlob(randomBytes(8).toString('hex')))
          inside--
        })
      await Promise.all(ways.flatMap((by) => [enter(by, 'one'), enter(by, 'one')]))
      assert.equal(most, 1)
      assert.equal(await db.read(countBlobs), 4)
      const fail = db.exclusively('one', async () => {
        throw new Error('failed')
      })
      await assert.rejects(fail, /failed/)
      await enter(ways[1], 'one')
      // Another name is another lock: this one is entered while the first is held.
      await db.exclusively('one', () => enter(ways[1], 'another'))
    })

    test('after dispose everything is refused, but what was begun is done', async () => {
      const [, other] = await two()
      const begun = [db.write(addBlob('a')), db.write(addBlob('b'))]
      const disposing = db.dispose()
      await assert.rejects(db.read(countBlobs), /closed/)
      await assert.rejects(db.write(countBlobs), /closed/)
      await assert.rejects(db.makeDurable(), /closed/)
      await Promise.all([...begun, disposing])
      await db.dispose()
      if (other !== db) assert.equal(await other.read(countBlobs), 2)
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

    test('an id that was given out is never given out again', async () => {
      const first = await db.write(aRegistry)
      await db.write((tables) => tables.deleteFrom('registries').execute())
      assert.ok((await db.write(aRegistry)) > first)
    })

    test('text compares byte by byte', async () => {
      const words = ['b', 'B', 'a', 'ä', '_', '1', 'a-', 'a b', 'ab', '🐳']
      await db.write(async (tables) => {
        for (const digest of words) await addBlob(digest)(tables)
      })
      const ordered = words.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
      assert.deepEqual(await digestsOf(db), ordered)
      for (const [i, word] of ordered.entries()) {
        const after = await db.read((tables) =>
          tables.selectFrom('blobs').where('digest', '>', word).orderBy('digest').limit(1).select('digest').execute(),
        )
        assert.deepEqual(
          after.map(({ digest }) => digest),
          ordered.slice(i + 1, i + 2),
        )
      }
    })

    test('a value of the wrong type is refused', async () => {
      await assert.rejects(db.write(addBlob('a', 'many' as unknown as number)))
      assert.equal(await db.read(countBlobs), 0)
    })

    test('every migration has been done, in order', async () => {
      const { rows } = await db.read((tables) =>
        sql<{ name: string }>`select name from kysely_migration`.execute(tables),
      )
      assert.deepEqual(
        rows.map((row) => row.name),
        Object.keys(migrations),
      )
    })
  })
}

/** What is asked often, and the index that must answer it: a part of SQLite's plan, and PostgreSQL's name of it. */
export const indexedQueries = [
  {
    what: 'a page of the catalog',
    query: sql`select name from repositories where registry_id = 1 and manifest_count > 0 and name > 'a' order by name limit 100`,
    sqlite: /repositories_catalog/,
    postgres: 'repositories_catalog',
  },
  {
    what: 'a tag',
    query: sql`select manifest_id from tags where repository_id = 1 and name = 'latest'`,
    sqlite: /PRIMARY KEY/,
    postgres: 'tags_key',
  },
  {
    what: 'a page of tags',
    query: sql`select name from tags where repository_id = 1 and name > 'a' order by name limit 100`,
    sqlite: /PRIMARY KEY/,
    postgres: 'tags_key',
  },
  {
    what: 'the tags of a manifest',
    query: sql`select name from tags where manifest_id = 1`,
    sqlite: /tags_manifest_id/,
    postgres: 'tags_manifest_id',
  },
  {
    what: 'the referrers of a manifest',
    query: sql`select digest from manifests where repository_id = 1 and subject_digest = 'a' order by digest`,
    sqlite: /manifests_referrers/,
    postgres: 'manifests_referrers',
  },
  {
    what: 'a manifest',
    query: sql`select id from manifests where repository_id = 1 and digest = 'a'`,
    sqlite: /repository_id=\? AND digest=\?/,
    postgres: 'manifests_digest',
  },
  {
    what: 'who needs a blob',
    query: sql`select manifest_id from manifest_references where digest = 'a'`,
    sqlite: /manifest_references_digest/,
    postgres: 'manifest_references_digest',
  },
  {
    what: 'who may read a blob',
    query: sql`select repository_id from repository_blobs where digest = 'a'`,
    sqlite: /repository_blobs_digest/,
    postgres: 'repository_blobs_digest',
  },
  {
    what: 'abandoned upload sessions',
    query: sql`select id from upload_sessions where updated_at < '2026' order by updated_at`,
    sqlite: /upload_sessions_updated_at/,
    postgres: 'upload_sessions_updated_at',
  },
] as const

export async function aRegistry(tables: Kysely<Tables>): Promise<number> {
  const { id } = await tables
    .insertInto('registries')
    .values({
      name: 'berth',
      sku: 'Premium',
      admin_user_enabled: 1,
      anonymous_pull_enabled: 0,
      sparse_manifests_enabled: 0,
      created_at,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

async function aTaggedManifest(tables: Kysely<Tables>): Promise<void> {
  const times = { created_at, updated_at: created_at }
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
    .values({ manifest_id: manifest.id, repository_id: repository.id, role: 'layer', digest: 'b' })
    .execute()
  await tables
    .insertInto('tags')
    .values({ ...owner, name: 'latest', ...times })
    .execute()
  await tables
    .insertInto('repository_blobs')
    .values({ repository_id: repository.id, digest: 'b', created_at })
    .execute()
}
