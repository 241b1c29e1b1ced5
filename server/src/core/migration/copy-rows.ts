/** Makes a table of the target like the source's, by what differs. */
import { type ExpressionBuilder, type Kysely, sql } from 'kysely'
import type { Tables } from '../../backends/db/tables/index.ts'
import { batches } from '../../base/batches.ts'
import { differencesOf } from './differences.ts'
import type { TableName } from './moved-tables.ts'
import type { Parts, ReadTable } from './parts.ts'
import { pagesOf, type Row, untyped } from './rows.ts'

export async function copyRows({ source, target, hold, count, tell }: Parts, table: ReadTable): Promise<void> {
  const { reading } = table
  const all = differencesOf(pagesOf(source.db, reading), pagesOf(target.db, reading), reading)
  for await (const { missing, changed, extra } of all) {
    hold.signal.throwIfAborted()
    if (missing.length + changed.length + extra.length === 0) continue
    const rows = [...changed, ...missing]
    count.rows += await hold.changeTarget(async (tables) => {
      await removeRows(tables, table, extra)
      return extra.length + (await putRows(tables, table, rows))
    })
    tell()
  }
}

/** Inserts or replaces rows whose parents are there; the others were made a moment ago, and are for the next round. */
export async function putRows(tables: Kysely<Tables>, table: ReadTable, rows: readonly Row[]): Promise<number> {
  const kept = await withParents(tables, table, rows)
  const { name, key, columns } = table
  const values = columns.filter((column) => !key.includes(column))
  for (const batch of batches(kept)) {
    await untyped(tables)
      .insertInto(name)
      .values(batch)
      .onConflict((conflict) =>
        conflict
          .columns([...key])
          .doUpdateSet((row: ExpressionBuilder<Record<string, Record<string, unknown>>, string>) =>
            Object.fromEntries(values.map((column) => [column, row.ref(`excluded.${column}`)])),
          ),
      )
      .execute()
  }
  return kept.length
}

async function withParents(tables: Kysely<Tables>, table: ReadTable, rows: readonly Row[]): Promise<readonly Row[]> {
  let kept = rows
  for (const [column, parent] of Object.entries(table.parents)) {
    const wanted = [...new Set(kept.map((row) => row[column]))]
    const there = new Set<unknown>()
    for (const batch of batches(wanted)) for (const id of await idsIn(tables, parent, batch)) there.add(id)
    kept = kept.filter((row) => there.has(row[column]))
  }
  return kept
}

async function idsIn(tables: Kysely<Tables>, table: TableName, ids: readonly unknown[]): Promise<unknown[]> {
  const rows = await untyped(tables).selectFrom(table).where('id', 'in', ids).select('id').execute()
  return rows.map(({ id }) => id)
}

/** So many conditions of several columns go into one statement. */
const mostAlternatives = 100

export async function removeRows(
  tables: Kysely<Tables>,
  { name, key }: ReadTable,
  rows: readonly Row[],
): Promise<void> {
  for (let start = 0; start < rows.length; start += mostAlternatives) {
    const some = rows.slice(start, start + mostAlternatives)
    const alternatives = some.map(
      (row) =>
        sql`(${sql.join(
          key.map((column) => sql`${sql.ref(column)} = ${row[column]}`),
          sql` and `,
        )})`,
    )
    await untyped(tables)
      .deleteFrom(name)
      .where(sql<boolean>`(${sql.join(alternatives, sql` or `)})`)
      .execute()
  }
}
