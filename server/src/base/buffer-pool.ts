/** Buffers of one size that are used again, so that streaming does not feed the garbage collector. */
export class BufferPool {
  readonly bytes: number
  readonly #kept: number
  readonly #free: Buffer[] = []

  /** bytes: of each buffer. kept: how many unused ones are held on to; more may be in use at a time. */
  constructor(bytes: number, kept: number) {
    this.bytes = bytes
    this.#kept = kept
  }

  /** Its content is whatever the last user left in it. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bytes)
  }

  give(buffer: Buffer): void {
    if (this.#free.length < this.#kept) this.#free.push(buffer)
  }
}
