import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypesOf } from './column-types.ts'

/** Names of upload sessions that are over: a session has no row of its own before its first bytes, so these tell. */
export const endedUploads: Migration = {
  async up(db: Kysely<never>) {
    const types = columnTypesOf(db)
    await db.schema
      .createTable('ended_uploads')
      .addColumn('made_in', types.integer, (column) => column.notNull())
      .addColumn('id', types.text, (column) => column.notNull())
      .addPrimaryKeyConstraint('ended_uploads_key', ['made_in', 'id'])
      .$call(types.keyedTable)
      .execute()
  },
}
