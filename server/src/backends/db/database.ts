/** The handle that everybody above sees; which dialect is behind it is known to the composition root only. */
import type { Kysely } from 'kysely'
import type { FixedQuery } from './fixed-query.ts'
import type { Tables } from './tables/index.ts'

export interface WriteOptions {
  /**
   * false: the commit is atomic and visible to every process at once, and survives a crash of this program, but need
   * not survive a power cut. For rows that a client can make again, such as an upload session's progress, and for what
   * `makeDurable` follows. A later write with `sync` need not make this one durable.
   */
  readonly sync?: boolean
  /**
   * What a move of everything to another database means to the write (`move-gate.ts`). `obeys`, unless stated: it is refused
   * where it would be lost. `tidies`: likewise, but it is nobody's loss when the move is undone, since a server does it by
   * itself. `ignores`: for rows that do not move, such as leases, and for the move itself. `decides`: for the
   * move's own word on it; no write that obeys is under way meanwhile, in any process.
   */
  readonly move?: 'obeys' | 'tidies' | 'ignores' | 'decides'
}

export interface Database {
  /** Reads outside any transaction. The handle throws when it is used after `fn` has ended. */
  read<T>(fn: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /**
   * Runs one fixed query outside any transaction: the short way for what a request reads all the time, and for nothing that
   * waits for a timer. Nobody may change the rows, which several requests of one turn of the event loop may have in common.
   */
  select<Parameters extends object, Row>(query: FixedQuery<Parameters, Row>, parameters: Parameters): Promise<Row[]>
  /**
   * One write transaction, as if it were alone in the whole database; rolled back when `fn` throws. Durable when it
   * resolves, unless `sync` is false.
   * `fn` may await only the handle, because others wait while it runs; and it may run again from the start, when it has met
   * another writer, so it changes nothing but the database (garbage collection does, and says in core/registry/collection/
   * blobs.ts why). It does not go on after a statement that failed.
   * Faults: `unavailable` when the database cannot be had, stayed locked for 30 seconds or moves, the disk is full, or it has
   * failed to keep an earlier commit or this one (whose rows others may see then). Whether this one was kept is unknown
   * where the connection was lost just then.
   */
  write<T>(fn: (db: Kysely<Tables>) => Promise<T>, options?: WriteOptions): Promise<T>
  /**
   * Resolves when everything that any process committed before the call is durable, synced or not. Changes nothing, so a move
   * does not hold it back.
   * Faults: `unavailable` as `write`.
   */
  makeDurable(): Promise<void>
  /**
   * Runs `fn` while nobody else on this database runs one under the same name: for what a start does once. `fn` uses the
   * database as always. On SQLite the data folder's lock keeps other servers out, so only this process is looked at.
   */
  exclusively<T>(name: string, fn: () => Promise<T>): Promise<T>
  dispose(): Promise<void>
}
