/** One line at the foot of a terminal that says how far a long command has come; nothing where there is no terminal. */
import type { WriteStream } from 'node:tty'

const leastMs = 100

export class Ticker {
  readonly #stream: Pick<WriteStream, 'write'> & { readonly isTTY?: boolean; readonly columns?: number }
  #shownAt = Number.NEGATIVE_INFINITY
  #shown = false

  constructor(stream: Pick<WriteStream, 'write'> & { readonly isTTY?: boolean; readonly columns?: number }) {
    this.#stream = stream
  }

  show(text: string): void {
    const now = performance.now()
    if (this.#stream.isTTY !== true || now - this.#shownAt < leastMs) return
    this.#shownAt = now
    this.#shown = true
    this.#stream.write(`\r\x1b[2K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`)
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\x1b[2K')
    this.#shown = false
  }
}
