/** The connections that read: few, each with many queries under way, one behind the other. */
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import type { Answer, PostgresConnection } from './postgres-connection.ts'
import type { PostgresConnector } from './postgres-connector.ts'
import { isStalePlan, unavailable } from './postgres-errors.ts'

export interface ReadersOptions {
  readonly connections: number
  /** Queries that wait for an answer at most, on all of them together; more are refused. */
  readonly queries: number
}

/**
 * A query goes to the connection with the fewest before it; a further connection is made while all are at work. Reads have
 * no transaction, so those of different requests may share one.
 */
export class PostgresReaders implements DatabaseConnection {
  readonly #connector: PostgresConnector
  readonly #options: ReadersOptions
  #open: PostgresConnection[] = []
  #opening: Promise<PostgresConnection> | undefined

  constructor(connector: PostgresConnector, options: ReadersOptions) {
    this.#connector = connector
    this.#options = options
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return this.#on((connection) => connection.executeQuery<R>(query))
  }

  async select<R>({ sql }: CompiledQuery, values: readonly unknown[]): Promise<R[]> {
    return (await this.#on((connection) => connection.run<R>(sql, values))).rows
  }

  // biome-ignore lint/correctness/useYield: it only refuses
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error('an open cursor would hold its connection: page through the list instead')
  }

  /** To be called when no query is under way any more. */
  async close(): Promise<void> {
    const opening = await Promise.allSettled([this.#opening])
    const late = opening.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : []))
    await Promise.all([...new Set([...this.#open, ...late])].map((connection) => connection.close()))
    this.#open = []
  }

  async #on<T extends QueryResult<unknown> | Answer<unknown>>(
    work: (connection: PostgresConnection) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(await this.#choose())
    } catch (error) {
      if (!isStalePlan(error)) throw error
      return work(await this.#choose())
    }
  }

  async #choose(): Promise<PostgresConnection> {
    this.#dropUnusable()
    const best = this.#open.reduce<PostgresConnection | undefined>(
      (least, connection) => (least === undefined || connection.pending < least.pending ? connection : least),
      undefined,
    )
    if (best === undefined) return this.#opening ?? this.#openAnother()
    if (best.pending === 0) return best
    if (best.pending * this.#open.length >= this.#options.queries) {
      throw unavailable('too many queries wait for the database', undefined, 1)
    }
    if (this.#open.length < this.#options.connections && this.#opening === undefined) {
      // Nobody waits for it, so nobody is told when it cannot be had: the others serve on, and the last one's end is told.
      this.#openAnother().catch(() => undefined)
    }
    return best
  }

  #openAnother(): Promise<PostgresConnection> {
    this.#opening = this.#connector
      .connect()
      .then((connection) => {
        this.#open.push(connection)
        return connection
      })
      .finally(() => {
        this.#opening = undefined
      })
    return this.#opening
  }

  #dropUnusable(): void {
    if (this.#open.every((connection) => connection.isUsable)) return
    for (const connection of this.#open) {
      // One that has prepared its fill still owes answers; the driver says goodbye when it has given them.
      if (!connection.isUsable) void connection.close()
    }
    this.#open = this.#open.filter((connection) => connection.isUsable)
  }
}
