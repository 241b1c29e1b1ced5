import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypesOf } from './column-types.ts'

/** Whether the two places of a move have one blob store; nobody knows it of a move that began before, so it may be. */
export const sharedBlobs: Migration = {
  async up(db: Kysely<never>) {
    const { integer } = columnTypesOf(db)
    await db.schema
      .alterTable('moves')
      .addColumn('shares_blobs', integer, (column) => column.notNull().defaultTo(1))
      .execute()
  },
}
