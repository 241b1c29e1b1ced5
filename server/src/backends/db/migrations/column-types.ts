/** What the dialects call the few kinds of columns and tables that we have: all that differs in migrations. */
import {
  type ColumnDefinitionBuilder,
  type CreateTableBuilder,
  type Kysely,
  PostgresAdapter,
  SqliteAdapter,
  sql,
} from 'kysely'

type DataType = Parameters<CreateTableBuilder<string>['addColumn']>[1]

export interface ColumnTypes {
  /** 64 bits. */
  readonly integer: DataType
  /** Compares byte by byte. */
  readonly text: DataType
  readonly bytes: DataType
  /** A number that is given out in ascending order and never again: use as `addColumn('id', types.integer, types.id)`. */
  id(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder
  /** A table whose rows are found by id. */
  table<T extends string, C extends string>(builder: CreateTableBuilder<T, C>): CreateTableBuilder<T, C>
  /** A table of short rows that are found by a key of their own, and kept in its order where the dialect can. */
  keyedTable<T extends string, C extends string>(builder: CreateTableBuilder<T, C>): CreateTableBuilder<T, C>
}

export function columnTypesOf(db: Kysely<never>): ColumnTypes {
  const { adapter } = db.getExecutor()
  if (adapter instanceof SqliteAdapter) return sqliteTypes
  if (adapter instanceof PostgresAdapter) return postgresTypes
  throw new Error('no column types for this dialect yet')
}

const sqliteTypes: ColumnTypes = {
  integer: 'integer',
  text: 'text',
  bytes: 'blob',
  id: (column) => column.primaryKey().autoIncrement(),
  table: (builder) => builder.modifyEnd(sql`strict`),
  keyedTable: (builder) => builder.modifyEnd(sql`strict, without rowid`),
}

const postgresTypes: ColumnTypes = {
  integer: 'bigint',
  // Else the database's own collation would decide, which also changes with the operating system under it.
  text: sql`text collate "C"`,
  bytes: 'bytea',
  // A sequence gives no number twice, also where a transaction is rolled back.
  id: (column) => column.generatedByDefaultAsIdentity().primaryKey(),
  table: (builder) => builder,
  keyedTable: (builder) => builder,
}
