/** What the dialects call the few kinds of columns and tables that we have: all that differs in migrations. */
import {
  type ColumnDataType,
  type ColumnDefinitionBuilder,
  type CreateTableBuilder,
  type Kysely,
  SqliteAdapter,
  sql,
} from 'kysely'

export interface ColumnTypes {
  /** 64 bits. */
  readonly integer: ColumnDataType
  /** Compares byte by byte. */
  readonly text: ColumnDataType
  readonly bytes: ColumnDataType
  /** A number that is given out in ascending order and never again: use as `addColumn('id', types.integer, types.id)`. */
  id(column: ColumnDefinitionBuilder): ColumnDefinitionBuilder
  /** A table whose rows are found by id. */
  table<T extends string, C extends string>(builder: CreateTableBuilder<T, C>): CreateTableBuilder<T, C>
  /** A table of short rows that are found by a key of their own, and kept in its order where the dialect can. */
  keyedTable<T extends string, C extends string>(builder: CreateTableBuilder<T, C>): CreateTableBuilder<T, C>
}

export function columnTypesOf(db: Kysely<never>): ColumnTypes {
  if (db.getExecutor().adapter instanceof SqliteAdapter) return sqliteTypes
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
