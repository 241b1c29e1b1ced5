/** One connection to one SQLite file: prepared statements, waiting for locks, and errors in our words. */
import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import { BoundedCache } from '../../base/bounded-cache.ts'
import type { Clock } from '../../base/clock.ts'
import { diskFull } from '../../base/disk-full.ts'
import { Fault } from '../../base/fault.ts'
import { KnownAnswers } from './known-answers.ts'
import { sqliteCodeOf, sqliteCodes } from './sqlite-errors.ts'

const lockedLimitMs = 30_000
/** A process asks for itself alone, in turns, so that to ask often costs little; a push meets some nine locks. */
const longestPauseMs = 3
/** Queries come from a fixed set of functions; lists of values of changing length are what makes it grow. */
const statementLimit = 256

interface Statement {
  readonly number: number
  readonly prepared: StatementSync
  /** Empty for a statement that gives back no rows. */
  readonly columns: readonly string[]
}

/**
 * Waits for locks without stopping the event loop: SQLite's own busy handler would sleep in the middle of a call, and
 * several processes share the file.
 * Faults of every method that runs SQL: `unavailable` when the lock did not come for 30 seconds or the disk is full.
 */
export class SqliteConnection implements DatabaseConnection {
  readonly #sqlite: DatabaseSync
  readonly #clock: Clock
  readonly #statements = new BoundedCache<string, Statement>(statementLimit)
  #statementsMade = 0
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #dataVersion: StatementSync
  /** Whether `select` has a transaction open. */
  #snapshot = false
  /** Of a connection that shares snapshots. */
  readonly #answers: KnownAnswers | undefined

  /** sharesSnapshots: for a connection that only reads. */
  constructor(file: string, clock: Clock, { sharesSnapshots = false } = {}) {
    this.#answers = sharesSnapshots ? new KnownAnswers() : undefined
    this.#sqlite = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: true })
    this.#clock = clock
    this.#begin = this.#sqlite.prepare('BEGIN')
    this.#commit = this.#sqlite.prepare('COMMIT')
    this.#dataVersion = this.#sqlite.prepare('PRAGMA data_version')
  }

  get inTransaction(): boolean {
    return this.#sqlite.isTransaction
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    try {
      return this.#run<R>(query)
    } catch (error) {
      if (isLocked(error)) return this.#whenFree(() => this.#run<R>(query))
      throw faultOfSqlite(error)
    }
  }

  /**
   * A query that gives back rows, with values in place of its own parameters, outside any transaction. Queries of one turn of the
   * event loop share one snapshot, because taking and leaving one costs more than most queries do. Nobody can tell: whoever
   * asks after an answer of ours asks in a later turn, and `endSnapshot` is called after this process's own commits. Nor is
   * a question put to SQLite twice while no process commits anything.
   */
  async select<R>({ sql }: CompiledQuery, values: readonly unknown[]): Promise<R[]> {
    const run = () => {
      const { number, prepared, columns } = this.#statement(sql)
      const ask = () => rowsOf(prepared.all(...(values as SQLInputValue[])), columns)
      const answers = this.#answers
      if (answers === undefined) return ask() as R[]
      if (!this.#snapshot) this.#beginSnapshot(answers)
      return answers.get(number, values, ask) as R[]
    }
    try {
      return run()
    } catch (error) {
      this.endSnapshot()
      if (isLocked(error)) return this.#whenFree(run)
      throw faultOfSqlite(error)
    }
  }

  #beginSnapshot(answers: KnownAnswers): void {
    this.#begin.run()
    this.#snapshot = true
    setImmediate(this.#endSnapshot)
    answers.areOf(this.#dataVersion.get()?.data_version)
  }

  /** The next `select` sees what is committed by then. */
  endSnapshot(): void {
    if (!this.#snapshot) return
    this.#snapshot = false
    if (this.#sqlite.isOpen && this.#sqlite.isTransaction) this.#commit.run()
  }

  readonly #endSnapshot = () => this.endSnapshot()

  // biome-ignore lint/correctness/useYield: it only refuses
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error('an open cursor would hold back the write-ahead log: page through the list instead')
  }

  /** Runs a statement without parameters and rows, such as BEGIN. */
  async exec(sql: string): Promise<void> {
    await this.#whenFree(() => this.#sqlite.exec(sql))
  }

  /** Reads or sets a pragma and returns its single value. */
  async pragma(text: string): Promise<SQLOutputValue | undefined> {
    const row = await this.#whenFree(() => this.#sqlite.prepare(`PRAGMA ${text}`).get())
    return row && Object.values(row)[0]
  }

  close(): void {
    if (this.#sqlite.isOpen) this.#sqlite.close()
  }

  #run<R>({ sql, parameters }: CompiledQuery): QueryResult<R> {
    const { prepared, columns } = this.#statement(sql)
    const values = parameters as readonly SQLInputValue[]
    if (columns.length > 0) return { rows: rowsOf(prepared.all(...values), columns) as R[] }
    const { changes, lastInsertRowid } = prepared.run(...values)
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  #statement(sql: string): Statement {
    const known = this.#statements.get(sql)
    if (known) return known
    const prepared = this.#sqlite.prepare(sql)
    prepared.setReturnArrays(true)
    const columns = prepared.columns().map((column) => column.name)
    const statement = { number: this.#statementsMade++, prepared, columns }
    this.#statements.set(sql, statement)
    return statement
  }

  async #whenFree<T>(attempt: () => T): Promise<T> {
    const deadline = this.#clock.now() + lockedLimitMs
    for (let tries = 0; ; tries++) {
      try {
        return attempt()
      } catch (error) {
        if (!isLocked(error)) throw faultOfSqlite(error)
        if (this.#clock.now() >= deadline) throw stillLocked(error)
      }
      await pause(1 + Math.random() * Math.min(longestPauseMs - 1, 2 ** tries))
    }
  }
}

/** Plain objects, as PostgreSQL's driver gives them; node:sqlite's own have no prototype and are slower to make. */
function rowsOf(rows: unknown[], columns: readonly string[]): Record<string, SQLOutputValue>[] {
  return rows.map((values) => {
    const row: Record<string, SQLOutputValue> = {}
    for (let i = 0; i < columns.length; i++) row[columns[i]!] = (values as SQLOutputValue[])[i]!
    return row
  })
}

function isLocked(error: unknown): boolean {
  return sqliteCodeOf(error) === sqliteCodes.busy
}

function faultOfSqlite(error: unknown): unknown {
  return sqliteCodeOf(error) === sqliteCodes.full ? diskFull(error) : error
}

function stillLocked(cause: unknown): Fault<'unavailable'> {
  return new Fault('unavailable', { retryAfterSeconds: 5, reason: 'the database is locked' }, { cause })
}
