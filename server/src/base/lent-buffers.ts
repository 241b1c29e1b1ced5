/** Buffers for bytes that wait until a client takes them, which may be long. */
import type { BufferPool } from './buffer-pool.ts'

/**
 * The first who ask get large ones. With so many lent at a time some clients must be slow, and to those that come then a
 * small one is as good: a thousand of them do not fill the memory.
 */
export class LentBuffers {
  readonly #large: BufferPool
  readonly #small: BufferPool
  readonly #mostLarge: number
  #largeLent = 0

  constructor(large: BufferPool, small: BufferPool, mostLarge: number) {
    this.#large = large
    this.#small = small
    this.#mostLarge = mostLarge
  }

  take(): Buffer {
    return this.takeLarge() ?? this.#small.take()
  }

  /** Undefined where there is none to be had. */
  takeLarge(): Buffer | undefined {
    if (this.#largeLent >= this.#mostLarge) return undefined
    this.#largeLent++
    return this.#large.take()
  }

  give(buffer: Buffer): void {
    if (buffer.length === this.#small.bytes) {
      this.#small.give(buffer)
      return
    }
    this.#largeLent--
    this.#large.give(buffer)
  }
}
