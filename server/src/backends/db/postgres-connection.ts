/** One connection to PostgreSQL: prepared statements, time limits, and errors in our words. */
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import pg from 'pg'
import { faultOfPostgres, isStalePlan, unavailable } from './postgres-errors.ts'
import { clientConfigOf, type PostgresServer } from './postgres-server.ts'
import { postgresTypes } from './postgres-types.ts'

export interface ConnectionOptions {
  /** Statements are sent without waiting for the answers of those before: for reads, which have no transaction. */
  readonly pipeline: boolean
  /** The server ends what takes longer; 0: nothing. */
  readonly statementLimitMs: number
}

const connectLimitMs = 5_000
/** How much longer than the server we wait at most: when nothing came even then, the network is gone. */
const longestGraceMs = 5_000
/** A transaction whose owner has vanished holds its rows for so long at most. */
const idleTransactionLimitMs = 60_000
const keepAliveMs = 10_000
const goodbyeLimitMs = 2_000

/**
 * Queries come from a fixed set of functions; lists of values of changing length are what makes it grow. The server keeps
 * what is prepared as long as the connection lives, so one that has prepared its fill is to be replaced.
 */
const statementLimit = 250
/** Longer lists are seldom of the same length twice. */
const preparedParameters = 24

/** Names are the same on every connection of the process, so that a text has one name. */
const names = new Map<string, string>()
const namesLimit = 10_000

export class PostgresConnection implements DatabaseConnection {
  readonly #client: pg.Client
  /** Without an answer for so long, the connection counts as lost; undefined: never. */
  readonly #limitMs: number | undefined
  readonly #prepared = new Set<string>()
  #pending = 0
  #lost: unknown
  #worn = false

  private constructor(client: pg.Client, statementLimitMs: number) {
    this.#client = client
    this.#limitMs = statementLimitMs === 0 ? undefined : statementLimitMs + Math.min(statementLimitMs, longestGraceMs)
    client.on('error', (error) => {
      this.#lost ??= error
    })
    client.on('end', () => {
      this.#lost ??= new Error('the connection was closed')
    })
  }

  /** Throws what the server, the network or the files of `server` say. */
  static async open(server: PostgresServer, { pipeline, statementLimitMs }: ConnectionOptions) {
    const client = new pg.Client({
      ...(await clientConfigOf(server)),
      pipeline,
      types: postgresTypes,
      application_name: 'berth',
      connectionTimeoutMillis: connectLimitMs,
      statement_timeout: statementLimitMs,
      idle_in_transaction_session_timeout: idleTransactionLimitMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveMs,
      // So that the server, too, notices when this machine is gone.
      options: '-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3',
    })
    const connection = new PostgresConnection(client, statementLimitMs)
    try {
      await client.connect()
    } catch (error) {
      client.connection.stream.destroy()
      throw error
    }
    return connection
  }

  /** False: it is gone, or should go once nothing is under way on it. */
  get isUsable(): boolean {
    return this.#lost === undefined && !this.#worn
  }

  get isAlive(): boolean {
    return this.#lost === undefined
  }

  /** Queries without an answer yet. */
  get pending(): number {
    return this.#pending
  }

  /** As the server last said: none, under way, or failed and waiting for its end. */
  get transaction(): 'none' | 'open' | 'failed' {
    const status = this.#client.getTransactionStatus()
    return status === 'T' ? 'open' : status === 'E' ? 'failed' : 'none'
  }

  /**
   * Faults: `unavailable` when the connection is lost, the server ends, is full or takes too long. Whether a statement
   * that was under way has been carried out is then unknown.
   */
  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { command, rowCount, rows } = await this.run<R>(sql, parameters)
    return changing.has(command) ? { rows, numAffectedRows: BigInt(rowCount ?? 0) } : { rows }
  }

  // biome-ignore lint/correctness/useYield: it only refuses
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error('an open cursor would hold its connection: page through the list instead')
  }

  /** Runs statements without parameters, such as BEGIN; returns what the last one says that it did. */
  async exec(text: string): Promise<string> {
    return (await this.#send({ text })).command
  }

  /** As `exec`, for several statements; returns the rows of the last one. */
  async execAll<R>(text: string): Promise<R[]> {
    const answers = (await this.#send({ text })) as Answer<unknown> | Answer<unknown>[] // where there were several
    return ([answers].flat().at(-1)?.rows ?? []) as R[]
  }

  async run<R>(text: string, parameters: readonly unknown[]): Promise<Answer<R>> {
    const values = parameters as unknown[]
    const name = this.#nameOf(text, values)
    try {
      return (await this.#send(name === undefined ? { text, values } : { text, values, name })) as Answer<R>
    } catch (error) {
      if (isStalePlan(error)) this.#worn = true
      throw error
    }
  }

  /** Cuts it off; the server ends what is under way. */
  abandon(error: unknown): void {
    this.#lost ??= error
    this.#client.connection.stream.destroy()
  }

  /** Says goodbye when the answers that are still owed have come; nobody need wait for it. */
  async close(): Promise<void> {
    if (this.#lost !== undefined) return
    // Those who owe answers have time limits of their own.
    const limit =
      this.#pending > 0
        ? undefined
        : setTimeout(() => this.abandon(new Error('the server says no goodbye')), goodbyeLimitMs)
    await this.#client.end()
    clearTimeout(limit)
  }

  /** Undefined for what is not to be prepared. */
  #nameOf(text: string, { length }: readonly unknown[]): string | undefined {
    if (length > preparedParameters) return undefined
    let name = names.get(text)
    if (name === undefined) {
      if (names.size >= namesLimit) return undefined
      name = `q${names.size}`
      names.set(text, name)
    }
    if (this.#prepared.has(name)) return name
    if (this.#prepared.size >= statementLimit) {
      this.#worn = true
      return undefined
    }
    this.#prepared.add(name)
    return name
  }

  #send(query: pg.QueryConfig): Promise<Answer<unknown>> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer<unknown>>()
    // Whatever was under way on a connection that says nothing any more is told by its end.
    const limit = this.#limitMs === undefined ? undefined : setTimeout(() => this.#giveUp(), this.#limitMs)
    this.#pending++
    void this.#client.query(query, (error: Error | null, answer: Answer<unknown>) => {
      clearTimeout(limit)
      this.#pending--
      if (error === null) resolve(answer)
      else reject(this.#faultOf(error))
    })
    return promise
  }

  #giveUp(): void {
    this.abandon(new Error('the server has not answered in time'))
  }

  #faultOf(error: Error): unknown {
    if (error instanceof pg.DatabaseError) {
      // After FATAL the server closes the connection; it may take a moment until we see that.
      if (error.severity === 'FATAL') this.#lost ??= error
      return faultOfPostgres(error)
    }
    return this.#lost === undefined ? error : unavailable('the connection to the database was lost', this.#lost)
  }
}

/** A part of what the driver makes of an answer. */
export interface Answer<Row> {
  readonly command: string
  readonly rowCount: number | null
  readonly rows: Row[]
}

const changing = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])
