/** PostgreSQL as Kysely sees it. Connections and transactions are `PostgresDatabase`'s business, so the driver has none. */
import {
  type DatabaseIntrospector,
  type DatabaseMetadataOptions,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryCompiler,
  sql,
  type TableMetadata,
} from 'kysely'
import { refusingDriver } from './refusing-driver.ts'

export const postgresDialect: Dialect = {
  createAdapter: () => new UnlockedPostgresAdapter(),
  createDriver: (): Driver => refusingDriver,
  createIntrospector: (db: Kysely<unknown>): DatabaseIntrospector => new SchemaIntrospector(db),
  createQueryCompiler: (): QueryCompiler => new PostgresQueryCompiler(),
}

/** Whoever migrates holds a lock already, which falls with its transaction; Kysely's own would outlive a failed one. */
class UnlockedPostgresAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

/** Another program's tables, in another schema of the same database, are not ours. */
class SchemaIntrospector extends PostgresIntrospector {
  readonly #db: Kysely<unknown>

  constructor(db: Kysely<unknown>) {
    super(db)
    this.#db = db
  }

  override async getTables(options?: DatabaseMetadataOptions): Promise<TableMetadata[]> {
    const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(this.#db)
    const tables = await super.getTables(options)
    return tables.filter(({ schema }) => schema === rows[0]?.schema)
  }
}
