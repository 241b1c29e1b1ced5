/** What a database of either dialect knows about those who use it: what is under way, and who is inside a write. */
import { AsyncLocalStorage } from 'node:async_hooks'

export class DatabaseUse {
  /** The write that the running code is a part of. */
  readonly #current = new AsyncLocalStorage<{ ended: boolean }>()
  /** Everything that may be queued or waiting for the disk. */
  readonly #pending = new Set<Promise<unknown>>()
  #closed = false

  /** Inside a write, an outer read would see old rows and an outer write could wait for itself. */
  check(): void {
    if (this.#closed) throw new Error('the database is closed')
    if (this.#current.getStore()?.ended === false) throw new Error('inside a write, use the handle it gave you')
  }

  /** `end` waits for it. */
  async track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work)
    try {
      return await work
    } finally {
      this.#pending.delete(work)
    }
  }

  /** Runs what a caller does inside its write. */
  async insideWrite<T>(fn: () => Promise<T>): Promise<T> {
    const scope = { ended: false }
    try {
      return await this.#current.run(scope, fn)
    } finally {
      scope.ended = true
    }
  }

  /** Lets nobody begin anything more and waits for the rest; false when that was done before. */
  async end(): Promise<boolean> {
    if (this.#closed) return false
    this.#closed = true
    await Promise.allSettled(this.#pending)
    return true
  }
}
