/** The handle that everybody above sees; which dialect is behind it is known to the composition root only. */
import type { Kysely } from 'kysely'
import type { Tables } from './tables/index.ts'

export interface WriteOptions {
  /**
   * false: the commit is atomic and visible to every process at once, and survives a crash of this program, but need
   * not survive a power cut. For rows that a client can make again, such as an upload session's progress.
   */
  readonly sync?: boolean
}

export interface Database {
  /** Reads outside any transaction. The handle throws when it is used after `fn` has ended. */
  read<T>(fn: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /**
   * One write transaction, alone in the whole database; rolled back when `fn` throws. `fn` may await only the handle:
   * everything else waits while it runs. Durable when it resolves, unless `sync` is false.
   * Faults: `unavailable` when the database stayed locked for 30 seconds, the disk is full, or it has failed to keep an
   * earlier commit or this one (whose rows others may see then).
   */
  write<T>(fn: (db: Kysely<Tables>) => Promise<T>, options?: WriteOptions): Promise<T>
  dispose(): Promise<void>
}
