/**
 * The word that both databases have of a move (`tables/moves.ts`), and how it changes. What must hold at every moment, also
 * when the program is killed: changes are taken on one side at most, and where none takes them, the next run or an undo
 * finds out how to go on.
 *
 *     source   target    changes are taken by
 *     copying  filling   the source
 *     frozen   filling   nobody, until the freeze ends or is not renewed in time
 *     moved    filling   nobody: the end was cut short; the next run completes it
 *     moved    arrived   the target, whose first change removes its row
 *     moved    –         the target
 *
 * Up to that change the move can be undone. What servers tidy away by themselves is none, so where both have one blob store,
 * no bytes go meanwhile (collection/blobs.ts): the source may still link them.
 */
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { MovesTable } from '../../backends/db/tables/moves.ts'
import { movedTables } from './moved-tables.ts'
import { untyped } from './rows.ts'

export type Move = Readonly<MovesTable>

export async function findMove(db: Database): Promise<Move | undefined> {
  return db.read(moveIn)
}

export async function moveIn(tables: Kysely<Tables>): Promise<Move | undefined> {
  return tables.selectFrom('moves').selectAll().executeTakeFirst()
}

/** In place of whatever was there. */
export async function writeMove(tables: Kysely<Tables>, move: Move): Promise<void> {
  await tables.deleteFrom('moves').execute()
  await tables.insertInto('moves').values(move).execute()
}

/** Whether the database has no row that a server or a move has put there. */
export async function isEmpty(tables: Kysely<Tables>): Promise<boolean> {
  for (const { name, key } of movedTables) {
    const row = await untyped(tables)
      .selectFrom(name)
      .select([...key])
      .limit(1)
      .executeTakeFirst()
    if (row !== undefined) return false
  }
  return true
}
