/** The database of `from-0001.test.ts` on PostgreSQL: it comes to be what it is on SQLite. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { Migrator } from 'kysely/migration'
import { createEmptyDatabase, type TestDatabase } from '../../../../test/database.ts'
import { onPostgres, postgresSkip, testPostgres } from '../../../../test/postgres.ts'
import { systemClock } from '../../../base/clock.ts'
import { HandleFactory } from '../handle.ts'
import { openPostgres } from '../postgres.ts'
import { PostgresConnection } from '../postgres-connection.ts'
import { postgresDialect } from '../postgres-dialect.ts'
import type { PostgresServer } from '../postgres-server.ts'
import { openSqlite } from '../sqlite.ts'
import { SqliteConnection } from '../sqlite-connection.ts'
import { sqliteDialect } from '../sqlite-dialect.ts'
import { first, oldRows } from './from-0001.rows.ts'
import { migrations } from './index.ts'

type Rows = Readonly<Record<string, readonly unknown[]>>

describe(`a database that was left at ${first}, on PostgreSQL`, { skip: postgresSkip }, () => {
  let home: string
  let old: TestDatabase
  let fresh: TestDatabase
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'berth-migrations-'))
    old = await createEmptyDatabase()
    fresh = await createEmptyDatabase()
  })
  after(async () => {
    await old?.drop()
    await fresh?.drop()
    await rm(home, { recursive: true })
  })

  test('holds the same rows afterwards as on SQLite', async () => {
    const file = join(home, 'old.db')
    const sqlite = new SqliteConnection(file, systemClock)
    await sqlite.exec('BEGIN')
    await migrateTo(first, new HandleFactory(sqliteDialect).forTransaction(sqlite).db)
    await sqlite.exec('COMMIT')
    sqlite.close()
    const raw = new DatabaseSync(file)
    raw.exec(oldRows)
    raw.close()
    await (await openSqlite({ file })).dispose()

    const server = (await testPostgres()).serverOf(old.name)
    await onConnection(server, async (connection) => {
      await connection.exec('BEGIN')
      await migrateTo(first, new HandleFactory(postgresDialect).forTransaction(connection).db)
      await connection.exec(inPostgres(oldRows))
      await connection.exec('COMMIT')
    })
    await (await openPostgres({ server })).dispose()

    const [expected, found] = [sqliteRows(file), await postgresRows(server)]
    assert.ok(Object.keys(expected).length > 15)
    assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort())
    for (const [table, rows] of Object.entries(expected)) assert.deepEqual(found[table], rows, table)
  })

  test('has the columns, indexes and constraints of a new one', async () => {
    const postgres = await testPostgres()
    await (await openPostgres({ server: postgres.serverOf(fresh.name) })).dispose()
    const [migrated, made] = [
      await schemaOf(postgres.serverOf(old.name)),
      await schemaOf(postgres.serverOf(fresh.name)),
    ]
    assert.ok(made.length > 100)
    assert.deepEqual(migrated, made)
  })
})

async function migrateTo(last: string, db: ConstructorParameters<typeof Migrator>[0]['db']): Promise<void> {
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateTo(last)
  assert.ifError(error)
}

async function onConnection(server: PostgresServer, work: (connection: PostgresConnection) => Promise<void>) {
  const connection = await PostgresConnection.open(server, { pipeline: false, statementLimitMs: 0 })
  try {
    await work(connection)
  } finally {
    await connection.close()
  }
}

/** The same statements as PostgreSQL spells them: bytes, and the columns by position. */
const inPostgres = (statements: string) => statements.replace(/x'([0-9a-f]*)'/g, (_, hex) => `'\\x${hex}'::bytea`)

/** What the migrations themselves have written at their time is that time. */
const withoutNow = (value: unknown) =>
  typeof value === 'string' && Math.abs(Date.parse(value) - Date.now()) < 60_000 ? 'now' : value

const plain = (rows: readonly Record<string, unknown>[]) =>
  rows
    .map((row) =>
      Object.entries(row)
        .map(([name, value]) => [
          name,
          value instanceof Uint8Array ? Buffer.from(value).toString('hex') : withoutNow(value),
        ])
        .sort(),
    )
    .map((row) => JSON.stringify(row))
    .sort()

function sqliteRows(file: string): Rows {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    const all = (query: string): Record<string, unknown>[] => db.prepare(query).all()
    const tables = all("select name from sqlite_master where type = 'table'").map(({ name }) => String(name))
    const ours = tables.filter((name) => !/^(?:sqlite|kysely)_/.test(name))
    return Object.fromEntries(ours.map((table) => [table, plain(all(`select * from ${table}`))]))
  } finally {
    db.close()
  }
}

async function postgresRows(server: PostgresServer): Promise<Rows> {
  const found: Record<string, readonly unknown[]> = {}
  await onConnection(server, async (connection) => {
    const { rows } = await connection.run<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename not like 'kysely%'",
      [],
    )
    for (const { name } of rows) {
      found[name] = plain((await connection.run<Record<string, unknown>>(`select * from ${name}`, [])).rows)
    }
  })
  return found
}

const schemaOf = (server: PostgresServer): Promise<unknown[]> =>
  onPostgres(server, async (client) => {
    const { rows } = await client.query(`
      select 'column ' || table_name || '.' || column_name as what,
        concat_ws(' ', data_type, collation_name, column_default, is_nullable, is_identity) as how
        from information_schema.columns where table_schema = 'public'
      union all select 'index ' || indexname, indexdef from pg_indexes where schemaname = 'public'
      union all select 'constraint ' || conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'public'::regnamespace
      order by 1, 2`)
    return rows
  })
