/** SQLite as Kysely sees it. Connections and transactions are `SqliteDatabase`'s business, so the driver has none. */
import {
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { refusingDriver } from './refusing-driver.ts'

export const sqliteDialect: Dialect = {
  createAdapter: () => new TransactionalSqliteAdapter(),
  createDriver: (): Driver => refusingDriver,
  createIntrospector: (db: Kysely<unknown>): DatabaseIntrospector => new SqliteIntrospector(db),
  createQueryCompiler: (): QueryCompiler => new SqliteQueryCompiler(),
}

/** SQLite does roll back CREATE TABLE; Kysely denies it only because its own driver has a single connection. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}
