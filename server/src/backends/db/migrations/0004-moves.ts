import type { ColumnDefinitionBuilder, Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypesOf } from './column-types.ts'

const required = (column: ColumnDefinitionBuilder) => column.notNull()

/** What a move to another database leaves word of; the columns are explained in `tables/moves.ts`. */
export const moves: Migration = {
  async up(db: Kysely<never>) {
    const { text, keyedTable } = columnTypesOf(db)

    await db.schema
      .createTable('moves')
      .addColumn('id', text, required)
      .addColumn('state', text, required)
      .addColumn('holder', text, required)
      .addColumn('until', text, required)
      .addColumn('database', text, required)
      .addColumn('blobs', text, required)
      .addColumn('begun_at', text, required)
      .addPrimaryKeyConstraint('moves_key', ['id'])
      .$call(keyedTable)
      .execute()
  },
}
