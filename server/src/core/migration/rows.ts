/** Whole tables, a page at a time, with the same queries on every dialect: whatever their columns are. */
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { TableName } from './moved-tables.ts'

export type Row = Readonly<Record<string, unknown>>

/** What is read of a table. */
export interface Reading {
  readonly name: TableName
  readonly key: readonly string[]
  readonly columns: readonly string[]
  /** Rows that it does not hold for are passed over. */
  readonly filter?: RawBuilder<boolean> | undefined
}

const pageRows = 1_000

export const untyped = (tables: Kysely<Tables>) => tables as unknown as Kysely<Record<string, Record<string, unknown>>>

/**
 * The rows in the order of their key, in pages that are not empty. No snapshot: rows that are changed meanwhile behind the
 * last one that was read are not noticed. The next page is read while one is looked at.
 */
export async function* pagesOf(db: Database, reading: Reading): AsyncGenerator<Row[], void, undefined> {
  let page = await readPage(db, reading, undefined)
  while (page.length > 0) {
    const next = page.length < pageRows ? Promise.resolve([]) : readPage(db, reading, page.at(-1))
    next.catch(() => undefined) // told when it is asked for
    yield page
    page = await next
  }
}

function readPage(db: Database, { name, key, columns, filter }: Reading, after: Row | undefined): Promise<Row[]> {
  return db.read((tables) => {
    let query = untyped(tables).selectFrom(name).select(columns)
    if (filter !== undefined) query = query.where(filter)
    if (after !== undefined) {
      const names = sql.join(key.map((column) => sql.ref(column)))
      const values = sql.join(key.map((column) => after[column]))
      query = query.where(sql<boolean>`(${names}) > (${values})`)
    }
    for (const column of key) query = query.orderBy(column)
    return query.limit(pageRows).execute()
  })
}

/** By table, its columns, in the order in which the migrations have made them. */
export async function columnsOf(db: Database): Promise<ReadonlyMap<string, readonly string[]>> {
  const tables = await db.read((handle) => handle.introspection.getTables())
  return new Map(tables.map(({ name, columns }) => [name, columns.map((column) => column.name)]))
}

/** As the databases order them: text byte by byte. */
export function compareKeys(one: Row, other: Row, key: readonly string[]): number {
  for (const column of key) {
    const [a, b] = [one[column], other[column]]
    if (a === b) continue
    if (typeof a === 'number' && typeof b === 'number') return a - b
    return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
  }
  return 0
}

export function isSameValue(one: unknown, other: unknown): boolean {
  if (one === other) return true
  return one instanceof Uint8Array && other instanceof Uint8Array && Buffer.compare(one, other) === 0
}
