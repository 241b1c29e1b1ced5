/** The last id that a table has given out, which is known although its row may be gone: dialects keep it in different places. */
import { type Kysely, PostgresAdapter, sql } from 'kysely'
import type { Tables } from './tables/index.ts'

/** Tables whose rows get an id of their own (`types.id` in the migrations). */
export const numberedTables = ['manifests', 'registries', 'repositories'] as const satisfies readonly (keyof Tables)[]

export type NumberedTable = (typeof numberedTables)[number]

/** 0 where none was given out. */
export async function readLastId(db: Kysely<Tables>, table: NumberedTable): Promise<number> {
  const query = isPostgres(db)
    ? sql<{ last: number | null }>`select pg_sequence_last_value(${sequenceOf(table)}::regclass) as last`
    : sql<{ last: number }>`select seq as last from sqlite_sequence where name = ${table}`
  const { rows } = await query.execute(db)
  return rows[0]?.last ?? 0
}

/** Ids that are given out from now on are greater than this one. Only where none of the table's ids is greater. */
export async function writeLastId(db: Kysely<Tables>, table: NumberedTable, id: number): Promise<void> {
  if (id === 0) return
  if (isPostgres(db)) {
    await sql`select setval(${sequenceOf(table)}::regclass, ${id})`.execute(db)
    return
  }
  await sql`delete from sqlite_sequence where name = ${table}`.execute(db)
  await sql`insert into sqlite_sequence (name, seq) values (${table}, ${id})`.execute(db)
}

const isPostgres = (db: Kysely<Tables>) => db.getExecutor().adapter instanceof PostgresAdapter

const sequenceOf = (table: NumberedTable) => sql`pg_get_serial_sequence(${table}, 'id')`
