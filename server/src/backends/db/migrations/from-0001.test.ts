/** A database of the time when there was one migration only: what is in it stays as it is. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { Migrator } from 'kysely/migration'
import { systemClock } from '../../../base/clock.ts'
import { HandleFactory } from '../handle.ts'
import { openSqlite } from '../sqlite.ts'
import { SqliteConnection } from '../sqlite-connection.ts'
import { sqliteDialect } from '../sqlite-dialect.ts'
import { first, oldRows } from './from-0001.rows.ts'
import { migrations } from './index.ts'

describe(`a database that was left at ${first}`, () => {
  const home = mkdtempSync(join(tmpdir(), 'berth-migrations-'))
  after(() => rmSync(home, { recursive: true }))
  const file = join(home, 'old.db')
  let old: Contents
  let migrated: Contents
  let fresh: Contents
  before(async () => {
    await migrateTo(first, file)
    change(file, oldRows)
    old = contentsOf(file)
    await (await openSqlite({ file })).dispose()
    migrated = contentsOf(file)
    await (await openSqlite({ file: join(home, 'new.db') })).dispose()
    fresh = contentsOf(join(home, 'new.db'))
  })

  test('is tried with a row in every table', () => {
    const empty = Object.keys(old.rows).filter((table) => old.rows[table]?.length === 0)
    assert.deepEqual(empty, [])
    assert.ok(Object.keys(old.rows).length > 10)
  })

  test('keeps every row', () => {
    for (const [table, rows] of Object.entries(old.rows)) {
      const columns = Object.keys(rows[0] ?? {})
      const kept = migrated.rows[table]?.map((row) => Object.fromEntries(columns.map((name) => [name, row[name]])))
      assert.deepEqual(
        kept,
        rows.map((row) => ({ ...row })),
        table,
      )
    }
  })

  test('gets the tables and indexes of a new one', () => {
    assert.ok('tenants' in migrated.rows && !('tenants' in old.rows))
    assert.deepEqual(migrated.schema, fresh.schema)
  })

  test('knows who in a repository names what', () => {
    assert.deepEqual(columnsOf(migrated, 'manifest_references', 'manifest_id', 'digest', 'repository_id'), [
      [5, 'sha256:c', 3],
      [5, 'sha256:b', 3],
      [8, 'sha256:e', 4],
      [9, 'sha256:x', 4],
      [10, 'sha256:y', 4],
    ])
  })

  test('has what nobody needs in the review queues, from now on', () => {
    const isNow = (value: unknown) => typeof value === 'string' && Math.abs(Date.parse(value) - Date.now()) < 60_000
    assert.deepEqual(columnsOf(migrated, 'repository_blobs', 'repository_id', 'digest', 'unused_since', isNow), [
      [3, 'sha256:b', null],
      [4, 'sha256:b', true],
      [4, 'sha256:e', null],
    ])
    assert.deepEqual(columnsOf(migrated, 'blobs', 'digest', 'unlinked_since', isNow), [
      ['sha256:b', null],
      ['sha256:e', null],
      ['sha256:z', true],
    ])
    // 8 refers to a subject that is not there; 5 is tagged, 9 is named by the index 10, 10 is tagged, 11 refers to 10.
    assert.deepEqual(columnsOf(migrated, 'unneeded_manifests', 'manifest_id', 'since', isNow), [[8, true]])
  })

  test('has its blobs neither damaged nor unread', () => {
    assert.deepEqual(columnsOf(migrated, 'blobs', 'damaged_at', 'scrubbed_at'), [
      [null, 'then'],
      [null, 'earlier'],
      [null, 'then'],
    ])
  })

  test('knows how much is stored, each blob once a registry', () => {
    assert.deepEqual(columnsOf(migrated, 'registry_blobs', 'registry_id', 'digest', 'links'), [
      [7, 'sha256:b', 2],
      [7, 'sha256:e', 1],
    ])
    assert.deepEqual(columnsOf(migrated, 'repository_usage', 'repository_id', 'blob_bytes', 'manifest_bytes'), [
      [3, 1099511627776, 2],
      [4, 1099511627776 + 50, 16],
    ])
    assert.deepEqual(columnsOf(migrated, 'registry_usage', 'registry_id', 'blob_bytes', 'manifest_bytes'), [
      [7, 1099511627776 + 50, 18],
    ])
  })

  test('has every reference whole', () => {
    assert.deepEqual(migrated.brokenReferences, [])
  })

  test('goes through the other migrations once, in order', () => {
    assert.deepEqual(old.migrations, [first])
    assert.deepEqual(migrated.migrations, Object.keys(migrations))
  })

  test('still gives out ids that were never used before', () => {
    change(
      file,
      `delete from registries where id = 7;
       insert into registries values (null, 'other', 'Basic', 0, 0, 0, 'now');`,
    )
    assert.deepEqual(
      contentsOf(file).rows.registries?.map((row) => row.id),
      [8],
    )
  })
})

interface Contents {
  /** By table, in the order of all columns. */
  readonly rows: Readonly<Record<string, readonly Record<string, unknown>[]>>
  /** What makes each table and index, by name. */
  readonly schema: readonly unknown[]
  readonly migrations: readonly unknown[]
  readonly brokenReferences: readonly unknown[]
}

/** The named columns of a table's rows; a check after a column says whether the value passes, where there is one. */
function columnsOf(
  { rows }: Contents,
  table: string,
  ...picked: (string | ((value: unknown) => boolean))[]
): unknown[][] {
  return (rows[table] ?? []).map((row) =>
    picked.flatMap((name, index) => {
      if (typeof name !== 'string') return []
      const check = picked[index + 1]
      const value = row[name]
      return [typeof check === 'function' && value !== null ? check(value) : value]
    }),
  )
}

function contentsOf(path: string): Contents {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const all = (query: string): Record<string, unknown>[] => db.prepare(query).all()
    const tables = all("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith('kysely_'))
    return {
      rows: Object.fromEntries(tables.map((table) => [table, all(`select * from ${table} order by 1, 2`)])),
      schema: all('select type, name, sql from sqlite_master order by type, name'),
      migrations: all('select name from kysely_migration order by timestamp, name').map(({ name }) => name),
      brokenReferences: all('pragma foreign_key_check'),
    }
  } finally {
    db.close()
  }
}

function change(path: string, statements: string): void {
  const db = new DatabaseSync(path)
  try {
    db.exec(statements)
  } finally {
    db.close()
  }
}

/** As the program of that time did it. */
async function migrateTo(last: string, path: string): Promise<void> {
  const connection = new SqliteConnection(path, systemClock)
  try {
    await connection.pragma('journal_mode=WAL')
    await connection.exec('BEGIN IMMEDIATE')
    const { db } = new HandleFactory(sqliteDialect).forTransaction(connection)
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
    const { error } = await migrator.migrateTo(last)
    assert.ifError(error)
    await connection.exec('COMMIT')
  } finally {
    connection.close()
  }
}
