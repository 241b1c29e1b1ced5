/** Brings tables up to date, forward only. */
import type { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from './migrations/index.ts'
import type { Tables } from './tables/index.ts'

const names = Object.keys(migrations)

/**
 * db: a transaction that keeps everybody else out. database: its name, for the message.
 * Throws a plain Error when the database has migrations that this program does not know: it was used by a newer one.
 */
export async function migrate(db: Kysely<Tables>, database: string): Promise<void> {
  const done = await listDone(db)
  const unknown = done.filter((name) => !(name in migrations))
  if (unknown.length > 0) {
    throw new Error(`${database} was used by a newer version of Berth (unknown migrations: ${unknown.join(', ')})`)
  }
  if (done.length === names.length) return
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error) throw new Error(`${database}: migration failed`, { cause: error })
}

async function listDone(db: Kysely<Tables>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === 'kysely_migration')) return []
  const rows = await db
    .$extendTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .execute()
  return rows.map((row) => row.name)
}
