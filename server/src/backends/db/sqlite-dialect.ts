/** SQLite as Kysely sees it. Connections and transactions are `SqliteDatabase`'s business, so the driver has none. */
import {
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'

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

const refuse = async (): Promise<never> => {
  throw new Error('a database handle opens no connections and transactions of its own: use read and write')
}

const refusingDriver: Driver = {
  init: refuse,
  acquireConnection: refuse as () => Promise<DatabaseConnection>,
  beginTransaction: refuse,
  commitTransaction: refuse,
  rollbackTransaction: refuse,
  releaseConnection: refuse,
  destroy: refuse,
}
