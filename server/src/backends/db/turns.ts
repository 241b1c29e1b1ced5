/** First come, first served: one function at a time. */
import { setImmediate as nextTick } from 'node:timers/promises'

export class Turns {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** Runs `fn` when every earlier one has ended, well or not. */
  async run<T>(fn: () => Promise<T>): Promise<T> {
    this.#waiting++
    const turn = this.#last.then(fn)
    this.#last = turn.then(
      () => this.#rest(),
      () => this.#rest(),
    )
    return turn
  }

  /** SQLite answers without ever leaving the thread, so a long queue would starve sockets and other processes alike. */
  async #rest(): Promise<void> {
    this.#waiting--
    if (this.#waiting > 0) await nextTick()
  }
}
