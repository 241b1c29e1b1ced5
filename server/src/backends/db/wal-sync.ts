/** Makes commits durable off the main thread, many at a time. */
import { closeFile, type Descriptor, openFile, syncFile } from '../../base/descriptor.ts'
import { Fault } from '../../base/fault.ts'

/**
 * With `PRAGMA synchronous=NORMAL`, COMMIT appends to the write-ahead log and leaves it in the system's cache; one
 * fdatasync of the log then makes this and every earlier commit durable, exactly as `synchronous=FULL` would, but
 * without stopping the event loop, after the write lock is free again, and once for all commits that wait for it.
 * In between, other connections see rows that are not durable yet; what they write because of them is synced later in
 * the same log, so it cannot outlive them.
 * After a sync that failed, no later one is believed: the system reports lost pages once, forgets them, and a commit that
 * is synced behind the gap would be lost with them. The rows stay visible, their writers are told, and nobody may write
 * any more until the file is opened anew.
 * Checkpoints stay safe, because NORMAL still syncs the log before and the database after each one.
 * The log lives as long as any connection does. No lock of SQLite is on the log, so closing our descriptor drops none.
 */
export class WalSync {
  readonly #descriptor: Descriptor
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  readonly #onBroken: (error: unknown) => void
  #failure: { readonly error: unknown } | undefined

  private constructor(descriptor: Descriptor, onBroken: (error: unknown) => void) {
    this.#descriptor = descriptor
    this.#onBroken = onBroken
  }

  /** file: the database; it must be open in WAL mode already. onBroken: called once, with the error of the sync. */
  static async open(file: string, onBroken: (error: unknown) => void): Promise<WalSync> {
    return new WalSync(await openFile(`${file}-wal`, 'r+'), onBroken)
  }

  /**
   * Resolves when everything that was committed before the call is durable.
   * Faults: `unavailable` when the sync fails, whatever the reason, and ever after.
   */
  async sync(): Promise<void> {
    // One that runs already may have begun before our commit, so wait for the one after it, together with all others.
    this.#next ??= this.#after(this.#running)
    return this.#next
  }

  /** For whoever else finds that the disk has failed to keep the database. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = { error }
    this.#onBroken(error)
  }

  /** To be called when no sync is under way any more. */
  async close(): Promise<void> {
    closeFile(this.#descriptor)
  }

  /** Faults: `unavailable` after a sync that failed. To be asked before a commit, so that it is not made in vain. */
  checkUsable(): void {
    if (this.#failure === undefined) return
    const reason = 'the disk failed to keep the database'
    throw new Fault('unavailable', { retryAfterSeconds: 5, reason }, { cause: this.#failure.error })
  }

  async #after(earlier: Promise<void>): Promise<void> {
    await earlier.catch(() => {}) // told to those who waited for it
    this.#next = undefined
    this.checkUsable()
    this.#running = this.#syncLog()
    return this.#running
  }

  async #syncLog(): Promise<void> {
    try {
      await syncFile(this.#descriptor)
    } catch (error) {
      this.fail(error)
    }
    this.checkUsable()
  }
}
