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
import { migrations } from './index.ts'

const first = '0001-registry-core'

/** A row at least in every table that the first migration makes. */
const oldRows = `
  insert into registries values (7, 'berth', 'Premium', 1, 0, 1, '2026-01-01T00:00:00.000Z');
  insert into registry_passwords values (7, 'password', x'00ff', '2026-01-01T00:00:01.000Z');
  insert into repositories values (3, 7, 'library/alpine', 1, '2026-01-01T00:00:02.000Z', '2026-01-01T00:00:03.000Z');
  insert into manifests values (5, 3, 'sha256:a', 'application/vnd.oci.image.manifest.v1+json', 2, 1099511627776,
    'application/x', 'application/y', 'amd64', 'linux', 'sha256:s', '{"a":"b"}', 'then', 'later', x'7b7d');
  insert into manifest_references values (5, 'layer', 'sha256:b'), (5, 'config', 'sha256:c');
  insert into tags values (3, 'latest', 5, 'then', 'later');
  insert into blobs values ('sha256:b', 1099511627776, 'then');
  insert into repository_blobs values (3, 'sha256:b', 'then');
  insert into upload_sessions values ('u', 7, 'library/alpine', 's', 12, 'sha256:d', 'w', 'until', 'then', 'later');
  insert into signing_keys values ('k', 'RS256', '{}', x'01', 'then', 'later', 'at last');
  insert into login_failures values ('account:a', 3, 'then');`

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
    for (const [table, rows] of Object.entries(old.rows)) assert.deepEqual(migrated.rows[table], rows, table)
  })

  test('gets the tables and indexes of a new one', () => {
    assert.ok('tenants' in migrated.rows && !('tenants' in old.rows))
    assert.deepEqual(migrated.schema, fresh.schema)
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
