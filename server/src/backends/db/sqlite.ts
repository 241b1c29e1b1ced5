/** The database of one machine: a SQLite file that several worker processes share. Start reading here. */
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { DatabaseConnection, Kysely } from 'kysely'
import { type Clock, systemClock } from '../../base/clock.ts'
import { ensureFolder } from '../../base/ensure-folder.ts'
import { isFault } from '../../base/fault.ts'
import { syncFolder } from '../../base/sync-folder.ts'
import { timestamp } from '../../base/timestamp.ts'
import type { Database, WriteOptions } from './database.ts'
import { DatabaseUse } from './database-use.ts'
import { type FixedQueries, type FixedQuery, fixedQueriesOf } from './fixed-query.ts'
import { HandleFactory } from './handle.ts'
import { migrate } from './migrate.ts'
import { type MoveGate, moveGate, passMoveGate } from './move-gate.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { sqliteDialect } from './sqlite-dialect.ts'
import { sqliteCodeOf, sqliteCodes } from './sqlite-errors.ts'
import type { Tables } from './tables/index.ts'
import { Turns } from './turns.ts'
import { WalSync } from './wal-sync.ts'

export interface SqliteOptions {
  /** Made when it is not there, folder included, for its owner only. `:memory:` is a new, private database. */
  readonly file: string
  readonly clock?: Clock
  /**
   * Called once, when the disk has failed to keep a commit: from then on every write that must be durable is refused with
   * `unavailable`. The process should end, and with it every other one that has the file open, before it is opened anew.
   */
  readonly onBroken?: (error: unknown) => void
  /** Whether this process moves what the log holds into the database; no, where another one does (`checkpoints.ts`). */
  readonly ownCheckpoints?: boolean
}

/** Each stops the event loop while it copies what was committed meanwhile, and costs two syncs. */
const checkpointEveryMs = 500

/**
 * Opens the file and brings its tables up to date; several processes may do so at once.
 * Throws a plain Error when a newer version of the program has been here already.
 */
export async function openSqlite(options: SqliteOptions): Promise<Database> {
  const { file, clock = systemClock, onBroken = () => undefined, ownCheckpoints = true } = options
  if (file === ':memory:') return openInMemory(clock)
  return openFile({ file: resolve(file), clock, onBroken, ownCheckpoints })
}

async function openFile({ file, clock, onBroken, ownCheckpoints }: Required<SqliteOptions>): Promise<Database> {
  await ensurePrivateFile(file)
  const writer = new SqliteConnection(file, clock)
  const connections = [writer]
  try {
    await configure(writer, { cacheKiB: 4_096 })
    const mode = await writer.pragma('journal_mode=WAL')
    if (mode !== 'wal') throw new Error(`${file}: this file system cannot share memory between processes (no WAL mode)`)
    const reader = new SqliteConnection(file, clock, { sharesSnapshots: true })
    connections.push(reader)
    await configure(reader, { cacheKiB: 16_384 })
    await migrateUnderLock(writer, file)
    await reader.pragma('query_only=1')
    await rewriteLog(writer)
    const wal = await WalSync.open(file, onBroken)
    await wal.sync()
    await syncFolder(dirname(file))
    return new SqliteDatabase({ reader, writer, wal, clock, ownCheckpoints })
  } catch (error) {
    for (const connection of connections) connection.close()
    throw error
  }
}

/** One connection is all there is, and a read must not see half a transaction, so reads wait for their turn as well. */
async function openInMemory(clock: Clock): Promise<Database> {
  const connection = new SqliteConnection(':memory:', clock)
  await migrateUnderLock(connection, ':memory:')
  return new SqliteDatabase({ reader: connection, writer: connection, wal: undefined, clock, ownCheckpoints: false })
}

interface Parts {
  readonly reader: SqliteConnection
  readonly writer: SqliteConnection
  /** Absent where there is nothing to make durable: in memory. */
  readonly wal: WalSync | undefined
  readonly clock: Clock
  readonly ownCheckpoints: boolean
}

class SqliteDatabase implements Database {
  readonly #reader: SqliteConnection
  readonly #writer: SqliteConnection
  readonly #wal: WalSync | undefined
  readonly #clock: Clock
  readonly #handles = new HandleFactory(sqliteDialect)
  readonly #fixed: FixedQueries
  readonly #turns = new Turns()
  readonly #exclusive = new Map<string, Turns>()
  readonly #use = new DatabaseUse()
  readonly #checkpoints: NodeJS.Timeout | undefined
  /** Whether something was committed since the last checkpoint. */
  #committed = true

  constructor({ reader, writer, wal, clock, ownCheckpoints }: Parts) {
    this.#reader = reader
    this.#writer = writer
    this.#wal = wal
    this.#clock = clock
    this.#fixed = fixedQueriesOf(this.#handles.forReads(reader).db)
    if (ownCheckpoints) this.#checkpoints = setInterval(() => void this.#checkpoint(), checkpointEveryMs).unref()
  }

  async read<T>(fn: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    this.#use.check()
    return this.#reader === this.#writer
      ? this.#use.track(this.#turns.run(() => this.#handles.reading(this.#reader, fn)))
      : this.#handles.reading(this.#reader, fn)
  }

  async select<Parameters extends object, Row>(
    query: FixedQuery<Parameters, Row>,
    parameters: Parameters,
  ): Promise<Row[]> {
    this.#use.check()
    const { compiled, valuesOf } = this.#fixed.get(query)
    const run = () => this.#reader.select<Row>(compiled, valuesOf(parameters))
    return this.#reader === this.#writer ? this.#use.track(this.#turns.run(run)) : run()
  }

  async write<T>(fn: (db: Kysely<Tables>) => Promise<T>, options: WriteOptions = {}): Promise<T> {
    this.#use.check()
    return this.#use.track(this.#write(fn, options))
  }

  async #write<T>(fn: (db: Kysely<Tables>) => Promise<T>, { sync = true, move = 'obeys' }: WriteOptions): Promise<T> {
    const result = await this.#turns.run(() => {
      if (sync) this.#wal?.checkUsable()
      if (move === 'ignores' || move === 'decides') return this.#transact(fn)
      return this.#transact(async (db) => {
        await this.#passGate(db, move === 'obeys')
        return fn(db)
      })
    })
    this.#committed = true
    this.#reader.endSnapshot()
    if (sync) await this.#wal?.sync()
    return result
  }

  /** Not left to SQLite, which does it in the middle of a commit and tells nobody that the disk has not kept it. */
  async #checkpoint(): Promise<void> {
    if (!this.#committed) return
    this.#committed = false
    try {
      await this.#use.track(this.#turns.run(() => this.#writer.pragma('wal_checkpoint(PASSIVE)')))
    } catch (error) {
      if (sqliteCodeOf(error) === sqliteCodes.ioError) this.#wal?.fail(error)
      // A full disk: those who write are told, and there is another time.
      else this.#committed = true
    }
  }

  async makeDurable(): Promise<void> {
    this.#use.check()
    await this.#use.track(this.#wal?.sync() ?? Promise.resolve())
  }

  async exclusively<T>(name: string, fn: () => Promise<T>): Promise<T> {
    this.#use.check()
    const turns = this.#exclusive.get(name) ?? new Turns()
    this.#exclusive.set(name, turns)
    return turns.run(fn)
  }

  async #passGate(db: Kysely<Tables>, isLoss: boolean): Promise<void> {
    const { rows } = await this.#writer.executeQuery<MoveGate>(this.#fixed.get(moveGate).compiled)
    await passMoveGate(db, rows[0], { now: timestamp(this.#clock), isLoss })
  }

  async #transact<T>(fn: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
    return inTransaction(this.#writer, this.#handles, (db) => this.#use.insideWrite(() => fn(db)))
  }

  async dispose(): Promise<void> {
    clearInterval(this.#checkpoints)
    if (!(await this.#use.end())) return
    await this.#wal?.close()
    this.#reader.close()
    this.#writer.close()
  }
}

async function inTransaction<T>(
  connection: SqliteConnection,
  handles: HandleFactory,
  fn: (db: Kysely<Tables>) => Promise<T>,
): Promise<T> {
  await connection.exec('BEGIN IMMEDIATE')
  const handle = handles.forTransaction(onlyInTransaction(connection))
  try {
    const result = await fn(handle.db)
    handle.end()
    await connection.exec('COMMIT')
    return result
  } catch (error) {
    handle.end()
    // A full disk may have rolled it back already.
    if (connection.inTransaction) await connection.exec('ROLLBACK')
    throw error
  }
}

/** A full disk may end the transaction under its owner, whose next statements would then be committed one by one. */
function onlyInTransaction(connection: SqliteConnection): DatabaseConnection {
  return {
    streamQuery: () => connection.streamQuery(),
    async executeQuery(query) {
      if (!connection.inTransaction) throw new Error('an earlier error has ended this transaction')
      return connection.executeQuery(query)
    },
  }
}

async function migrateUnderLock(connection: SqliteConnection, file: string): Promise<void> {
  await inTransaction(connection, new HandleFactory(sqliteDialect), (db) => migrate(db, file))
}

/**
 * What a failed sync has left in the system's cache alone is written once more, into the database and to the disk, and
 * the log begins anew without a gap. Not while others use the file; and a full disk must not keep readers away.
 */
async function rewriteLog(connection: SqliteConnection): Promise<void> {
  try {
    await connection.pragma('wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (!isFault(error, 'unavailable')) throw error
  }
}

async function configure(connection: SqliteConnection, { cacheKiB }: { readonly cacheKiB: number }): Promise<void> {
  await connection.pragma('synchronous=NORMAL') // WalSync does the rest
  await connection.pragma(`cache_size=-${cacheKiB}`)
  await connection.pragma('temp_store=MEMORY')
  await connection.pragma('wal_autocheckpoint=0')
  await connection.pragma(`journal_size_limit=${64 * 1024 * 1024}`)
}

/** SQLite gives its log and shared memory the mode of the database. */
async function ensurePrivateFile(file: string): Promise<void> {
  await ensureFolder(dirname(file))
  const handle = await open(file, 'a', 0o600)
  await handle.close()
}
