/** The database of many machines: PostgreSQL, which any number of nodes and their processes share. Start reading here. */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type DatabaseConnection, type Kysely, sql } from 'kysely'
import { type Clock, systemClock } from '../../base/clock.ts'
import { postgresName } from '../../base/postgres-name.ts'
import { timestamp } from '../../base/timestamp.ts'
import type { Database, WriteOptions } from './database.ts'
import { DatabaseUse } from './database-use.ts'
import { type FixedQueries, type FixedQuery, fixedQueriesOf } from './fixed-query.ts'
import { HandleFactory } from './handle.ts'
import { migrate } from './migrate.ts'
import { type MoveGate, moveGate, passMoveGate } from './move-gate.ts'
import { PostgresConnection } from './postgres-connection.ts'
import { PostgresConnector } from './postgres-connector.ts'
import { postgresDialect } from './postgres-dialect.ts'
import { isConflict, isDuplicate, isStalePlan, mayComeYet, sentenceOf, unavailable } from './postgres-errors.ts'
import { PostgresReaders } from './postgres-readers.ts'
import type { PostgresServer } from './postgres-server.ts'
import { PostgresWriters } from './postgres-writers.ts'
import type { Tables } from './tables/index.ts'

export interface PostgresOptions {
  readonly server: PostgresServer
  readonly clock?: Clock
  /** How long a server that is not there yet is waited for. */
  readonly patienceMs?: number
  /** Called every few seconds meanwhile, with what is the matter. */
  readonly onWaiting?: ((reason: string) => void) | undefined
  /** Called each time a write begins again because it met another one. */
  readonly onRetry?: (() => void) | undefined
  readonly limits?: Partial<PostgresLimits>
}

export interface PostgresLimits {
  /** How long a statement that reads may take, and one that writes. */
  readonly readMs: number
  readonly writeMs: number
  /** How long a write waits for its turn, and how long one that meets others is begun anew. */
  readonly turnMs: number
}

const usualLimits: PostgresLimits = { readMs: 15_000, writeMs: 60_000, turnMs: 30_000 }
/** A process takes so many at most. PostgreSQL's own default is 100 for everybody. */
const readConnections = 4
const writeConnections = 4
const readQueue = 2_000
const longestPauseMs = 100
/** A key that is there twice is a bug unless it goes away when the write is tried again. */
const duplicateTries = 3
/** A write that has met others so often runs alone: else a long one could meet short ones for ever. */
const sociableTries = 6
const oldestVersion = 14

/**
 * Connects and brings the tables up to date; several nodes may do so at once.
 * Throws a plain Error, which names the server but never its password, when it cannot be had within `patienceMs`, is too
 * old or not set to UTF-8, or was used by a newer version of the program.
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const { server, clock = systemClock, patienceMs = 0, onWaiting, onRetry, limits } = options
  const name = postgresName(server)
  const connection = await openFirst(server, patienceMs, onWaiting ?? (() => undefined))
  try {
    const { isAsynchronous } = await checkServer(connection, name)
    await migrateUnderLock(connection, name)
    return new PostgresDatabase(server, {
      clock,
      isAsynchronous,
      onRetry: onRetry ?? (() => undefined),
      limits: { ...usualLimits, ...limits },
    })
  } finally {
    await connection.close()
  }
}

interface Nature {
  readonly clock: Clock
  /** The server acknowledges commits before they are on its disk, unless told otherwise. */
  readonly isAsynchronous: boolean
  readonly onRetry: () => void
  readonly limits: PostgresLimits
}

class PostgresDatabase implements Database {
  readonly #server: PostgresServer
  readonly #nature: Nature
  readonly #readers: PostgresReaders
  readonly #writers: PostgresWriters
  readonly #handles = new HandleFactory(postgresDialect)
  readonly #fixed: FixedQueries
  /** Of this turn of the event loop, with the answers to come. */
  readonly #asked = new Map<string, Promise<object[]>>()
  readonly #use = new DatabaseUse()

  constructor(server: PostgresServer, nature: Nature) {
    this.#server = server
    this.#nature = nature
    const { readMs, writeMs, turnMs } = nature.limits
    this.#readers = new PostgresReaders(new PostgresConnector(server, { pipeline: true, statementLimitMs: readMs }), {
      connections: readConnections,
      queries: readQueue,
    })
    this.#writers = new PostgresWriters(new PostgresConnector(server, { pipeline: false, statementLimitMs: writeMs }), {
      connections: writeConnections,
      patienceMs: turnMs,
    })
    this.#fixed = fixedQueriesOf(this.#handles.forReads(this.#readers).db)
  }

  async read<T>(fn: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    this.#use.check()
    return this.#use.track(this.#handles.reading(this.#readers, fn))
  }

  /**
   * What several requests ask in one turn of the event loop is asked once: which registry is meant is asked by all of them.
   * Nobody can tell: the requests that are read in a turn were sent before it began, and so before the question.
   */
  async select<Parameters extends object, Row>(
    query: FixedQuery<Parameters, Row>,
    parameters: Parameters,
  ): Promise<Row[]> {
    this.#use.check()
    const { compiled, valuesOf } = this.#fixed.get(query)
    const values = valuesOf(parameters)
    const question = JSON.stringify([compiled.sql, values])
    let answer = this.#asked.get(question)
    if (answer === undefined) {
      if (this.#asked.size === 0) setImmediate(() => this.#asked.clear())
      answer = this.#use.track(this.#readers.select<object>(compiled, values))
      this.#asked.set(question, answer)
    }
    return (await answer) as Row[]
  }

  async write<T>(fn: (db: Kysely<Tables>) => Promise<T>, options: WriteOptions = {}): Promise<T> {
    this.#use.check()
    return this.#use.track(this.#write(fn, options))
  }

  /**
   * All of it is one message, so that the gate costs no time of its own. The table is locked before the snapshot is taken,
   * which LOCK TABLE does not do: so whoever has waited for one that decides sees what was decided.
   * alone: waits for the writes under way and lets in no others until it has ended.
   */
  #beginning({ sync = true, move = 'obeys' }: WriteOptions, alone: boolean): Beginning {
    const statements = ['BEGIN ISOLATION LEVEL SERIALIZABLE']
    if (!sync) statements.push('SET LOCAL synchronous_commit = off')
    else if (this.#nature.isAsynchronous) statements.push('SET LOCAL synchronous_commit = on')
    if (alone || move === 'decides') statements.push('LOCK TABLE moves IN EXCLUSIVE MODE')
    if (move === 'ignores' || move === 'decides') return { statements: statements.join('; '), pass: undefined }
    if (!alone) statements.push('LOCK TABLE moves IN ROW SHARE MODE')
    statements.push(this.#fixed.get(moveGate).compiled.sql)
    return {
      statements: statements.join('; '),
      pass: (db, gate) => passMoveGate(db, gate, { now: timestamp(this.#nature.clock), isLoss: move === 'obeys' }),
    }
  }

  async #write<T>(fn: (db: Kysely<Tables>) => Promise<T>, options: WriteOptions): Promise<T> {
    const deadline = performance.now() + this.#nature.limits.turnMs
    for (let tries = 1; ; tries++) {
      const beginning = this.#beginning(options, tries > sociableTries)
      const outcome = await this.#writers.lend((connection) => this.#transact(connection, beginning, fn))
      if ('result' in outcome) return outcome.result
      const { conflict } = outcome
      if (isDuplicate(conflict) && tries >= duplicateTries) throw conflict
      if (performance.now() >= deadline) throw unavailable('too many transactions change the same rows', conflict, 1)
      this.#nature.onRetry()
      await pause(Math.random() * Math.min(2 ** tries, longestPauseMs))
    }
  }

  async #transact<T>(
    connection: PostgresConnection,
    beginning: Beginning,
    fn: (db: Kysely<Tables>) => Promise<T>,
  ): Promise<Outcome<T>> {
    return inTransaction(connection, this.#handles, beginning, (db) => this.#use.insideWrite(() => fn(db)))
  }

  /** A commit waits for the log only where its transaction has written to it, which an empty one has not. */
  async makeDurable(): Promise<void> {
    await this.write((db) => sql`select pg_logical_emit_message(true, 'berth', '')`.execute(db), { move: 'ignores' })
  }

  async exclusively<T>(name: string, fn: () => Promise<T>): Promise<T> {
    this.#use.check()
    return this.#use.track(
      withMaintenance(this.#server, async (connection) => {
        await connection.run('select pg_advisory_lock($1)', [lockKey(name)])
        return fn() // the lock ends with its connection
      }),
    )
  }

  async dispose(): Promise<void> {
    if (!(await this.#use.end())) return
    await Promise.all([this.#readers.close(), this.#writers.close()])
  }
}

interface Beginning {
  readonly statements: string
  /** Takes what the last of them has found, before anything else is done. */
  readonly pass: ((db: Kysely<Tables>, gate: MoveGate | undefined) => Promise<void>) | undefined
}

/** A conflict: nothing has been stored, and the same may go well when it is tried again. */
type Outcome<T> = { readonly result: T } | { readonly conflict: unknown }

async function inTransaction<T>(
  connection: PostgresConnection,
  handles: HandleFactory,
  { statements, pass }: Beginning,
  fn: (db: Kysely<Tables>) => Promise<T>,
): Promise<Outcome<T>> {
  const transaction = new TransactionConnection(connection)
  const handle = handles.forTransaction(transaction)
  let result: T
  try {
    const [gate] = await transaction.begin<MoveGate>(statements)
    await pass?.(handle.db, gate)
    result = await fn(handle.db)
    transaction.check() // what went wrong may have been passed over
  } catch (error) {
    handle.end()
    await rollBack(connection)
    // What `fn` made of the conflict, if anything, does not matter: it is called again.
    if (transaction.conflict !== undefined) return { conflict: transaction.conflict }
    throw error
  }
  handle.end()
  return (await commit(connection)) ?? { result }
}

async function commit(connection: PostgresConnection): Promise<{ conflict: unknown } | undefined> {
  try {
    const done = await connection.exec('COMMIT')
    if (done !== 'COMMIT') throw new Error(`the database answered COMMIT with ${done}`)
    return undefined
  } catch (error) {
    // Where the answer was lost, it may have been done: that is `unavailable`, and not for us to repeat.
    if (isConflict(error)) return { conflict: error }
    throw error
  }
}

/** A connection that cannot even do that is gone, and its transaction with it. */
async function rollBack(connection: PostgresConnection): Promise<void> {
  if (!connection.isAlive || connection.transaction === 'none') return
  try {
    await connection.exec('ROLLBACK')
  } catch (error) {
    connection.abandon(error)
  }
}

/** Lets nothing through once the transaction has ended or failed, and remembers why it must be repeated. */
class TransactionConnection implements DatabaseConnection {
  readonly #connection: PostgresConnection
  #failed = false
  conflict: unknown

  constructor(connection: PostgresConnection) {
    this.#connection = connection
  }

  /** Returns the rows of the last statement. */
  begin<R>(statements: string): Promise<R[]> {
    return this.#noting(this.#connection.execAll<R>(statements))
  }

  async executeQuery<R>(query: Parameters<DatabaseConnection['executeQuery']>[0]) {
    this.check()
    return this.#noting(this.#connection.executeQuery<R>(query))
  }

  async #noting<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      this.#failed = true
      if (isConflict(error) || isDuplicate(error) || isStalePlan(error)) this.conflict ??= error
      throw error
    }
  }

  streamQuery(): AsyncIterableIterator<never> {
    return this.#connection.streamQuery()
  }

  check(): void {
    if (this.#failed || this.#connection.transaction !== 'open')
      throw new Error('an earlier error has ended this transaction')
  }
}

/** Runs `work` on a connection of its own, without time limits. */
async function withMaintenance<T>(
  server: PostgresServer,
  work: (connection: PostgresConnection) => Promise<T>,
): Promise<T> {
  const connection = await PostgresConnection.open(server, maintenance).catch((error: unknown) => {
    throw unavailable('the database cannot be reached', error)
  })
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}

const maintenance = { pipeline: false, statementLimitMs: 0 }

const firstPauseMs = 100
const longestWaitMs = 1_000
const tellEveryMs = 10_000

async function openFirst(
  server: PostgresServer,
  patienceMs: number,
  onWaiting: (reason: string) => void,
): Promise<PostgresConnection> {
  const deadline = performance.now() + patienceMs
  let toldAt = Number.NEGATIVE_INFINITY
  for (let tries = 0; ; tries++) {
    try {
      return await PostgresConnection.open(server, maintenance)
    } catch (error) {
      const now = performance.now()
      if (!mayComeYet(error) || now >= deadline) {
        throw new Error(`${postgresName(server)}: ${sentenceOf(error)}`, { cause: error })
      }
      if (now - toldAt >= tellEveryMs) {
        onWaiting(sentenceOf(error))
        toldAt = now
      }
    }
    await pause(Math.min(firstPauseMs * 2 ** tries, longestWaitMs))
  }
}

async function checkServer(connection: PostgresConnection, name: string): Promise<{ isAsynchronous: boolean }> {
  const { rows } = await connection.run<{ version: string; encoding: string; commit: string }>(
    `select current_setting('server_version_num') as version, current_setting('server_encoding') as encoding,
       current_setting('synchronous_commit') as commit`,
    [],
  )
  const { version = '', encoding, commit } = rows[0] ?? {}
  const major = Math.floor(Number(version) / 10_000)
  if (major < oldestVersion) throw new Error(`${name} is PostgreSQL ${major}; needed is ${oldestVersion} or later`)
  if (encoding !== 'UTF8') throw new Error(`${name} is encoded in ${encoding}; make a database with ENCODING 'UTF8'`)
  return { isAsynchronous: commit === 'off' }
}

const plainly: Beginning = { statements: 'BEGIN', pass: undefined }

/** READ COMMITTED, so that whoever had to wait sees what the one before has done. */
async function migrateUnderLock(connection: PostgresConnection, name: string): Promise<void> {
  const outcome = await inTransaction(connection, new HandleFactory(postgresDialect), plainly, async (db) => {
    await sql`select pg_advisory_xact_lock(${lockKey('migrations')})`.execute(db)
    await migrate(db, name)
  })
  if ('conflict' in outcome) throw outcome.conflict
}

/** Locks have numbers of 64 bits, shared by all programs that use the database; as text, because JavaScript's are exact to 53. */
function lockKey(name: string): string {
  return String(createHash('sha256').update(`berth/${name}`).digest().readBigInt64BE())
}
