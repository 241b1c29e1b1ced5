/** Makes commits durable off the main thread, many at a time. */
import { close, fdatasync, open } from 'node:fs'
import { promisify } from 'node:util'
import { faultOfDisk } from '../disk-full.ts'

/**
 * With `PRAGMA synchronous=NORMAL`, COMMIT appends to the write-ahead log and leaves it in the system's cache; one
 * fdatasync of the log then makes this and every earlier commit durable, exactly as `synchronous=FULL` would, but
 * without stopping the event loop, after the write lock is free again, and once for all commits that wait for it.
 * In between, other connections see rows that are not durable yet; what they write because of them is synced later in
 * the same log, so it cannot outlive them. When the sync fails, the rows stay visible and the writer is told.
 * Checkpoints stay safe, because NORMAL still syncs the log before and the database after each one.
 * The log lives as long as any connection does. No lock of SQLite is on the log, so closing our descriptor drops none.
 */
export class WalSync {
  readonly #descriptor: number
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  private constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** file: the database; it must be open in WAL mode already. */
  static async open(file: string): Promise<WalSync> {
    return new WalSync(await promisify(open)(`${file}-wal`, 'r+'))
  }

  /** Resolves when everything that was committed before the call is durable. Faults: `unavailable` on a full disk. */
  async sync(): Promise<void> {
    // One that runs already may have begun before our commit, so wait for the one after it, together with all others.
    this.#next ??= this.#after(this.#running)
    return this.#next
  }

  /** To be called when no sync is under way any more. */
  async close(): Promise<void> {
    await promisify(close)(this.#descriptor)
  }

  async #after(earlier: Promise<void>): Promise<void> {
    await earlier.catch(() => {}) // told to those who waited for it
    this.#next = undefined
    this.#running = promisify(fdatasync)(this.#descriptor)
    await this.#running.catch((error: unknown) => {
      throw faultOfDisk(error)
    })
  }
}
