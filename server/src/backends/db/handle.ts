/** The Kysely instances that `Database` hands out: bound to one connection, and useless after their end. */
import {
  type ConnectionProvider,
  type DatabaseConnection,
  DefaultQueryExecutor,
  type Dialect,
  type DialectAdapter,
  type Driver,
  Kysely,
  type KyselyProps,
  type QueryCompiler,
  Transaction,
} from 'kysely'
import type { Tables } from './tables/index.ts'

export interface Handle {
  readonly db: Kysely<Tables>
  /** Every later use of `db` throws. */
  end(): void
}

/** Makes handles of one dialect; what they share is built once, because a handle is made for every read. */
export class HandleFactory {
  readonly #dialect: Dialect
  readonly #adapter: DialectAdapter
  readonly #compiler: QueryCompiler
  readonly #driver: Driver

  constructor(dialect: Dialect) {
    this.#dialect = dialect
    this.#adapter = dialect.createAdapter()
    this.#compiler = dialect.createQueryCompiler()
    this.#driver = dialect.createDriver()
  }

  /** Every query runs by itself. */
  forReads(connection: DatabaseConnection): Handle {
    const provider = new EndingProvider(connection)
    return { db: new Kysely<Tables>(this.#props(provider)), end: () => provider.end() }
  }

  /** Runs `fn` with a handle for reads, which ends with it. */
  async reading<T>(connection: DatabaseConnection, fn: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    const handle = this.forReads(connection)
    try {
      return await fn(handle.db)
    } finally {
      handle.end()
    }
  }

  /** The caller begins and ends the transaction on `connection`; to Kysely and its Migrator this is one. */
  forTransaction(connection: DatabaseConnection): Handle {
    const provider = new EndingProvider(connection)
    return { db: new Transaction<Tables>(this.#props(provider)), end: () => provider.end() }
  }

  #props(provider: ConnectionProvider): KyselyProps {
    return {
      config: { dialect: this.#dialect },
      dialect: this.#dialect,
      driver: this.#driver,
      executor: new DefaultQueryExecutor(this.#compiler, this.#adapter, provider),
    }
  }
}

class EndingProvider implements ConnectionProvider {
  #connection: DatabaseConnection | undefined

  constructor(connection: DatabaseConnection) {
    this.#connection = connection
  }

  async provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    if (this.#connection === undefined)
      throw new Error('this database handle has ended: use it inside read or write only')
    return consumer(this.#connection)
  }

  end(): void {
    this.#connection = undefined
  }
}
