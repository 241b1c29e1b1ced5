/** Writing and hashing at once, with bounded memory. */
import type { Hash } from 'node:crypto'
import type { BufferPool } from '../../base/buffer-pool.ts'
import { type Descriptor, writeWhole } from '../../base/descriptor.ts'
import type { Step } from './session-gate.ts'

export interface WriteBehindOptions {
  readonly file: Descriptor
  /** Where the first byte goes. */
  readonly offset: number
  /** Fed with every byte that is handed to the system, in order. */
  readonly hash: Hash | undefined
  readonly buffers: BufferPool
  readonly step: Step
}

/**
 * While one buffer is on its way to the file, its bytes are hashed and the other buffer fills up: many small chunks
 * become one write. Bytes are copied, so the giver may reuse its chunks; and written as soon as the file is free, so
 * that a slow client holds no buffer.
 */
export class WriteBehind {
  readonly #file: Descriptor
  readonly #hash: Hash | undefined
  readonly #buffers: BufferPool
  readonly #step: Step
  #written: number
  #filling: Buffer | undefined
  #filled = 0
  /** Never rejects; `#failure` tells. Bytes are waiting only while this is set. */
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor({ file, offset, hash, buffers, step }: WriteBehindOptions) {
    this.#file = file
    this.#written = offset
    this.#hash = hash
    this.#buffers = buffers
    this.#step = step
  }

  /** The file's length as far as it is known to be good. */
  get written(): number {
    return this.#written
  }

  /** Takes a chunk of any size; resolves when there is room for more. Throws when an earlier write failed. */
  async push(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#filled === this.#buffers.bytes) await this.#writing
      this.#throwFailure()
      this.#filling ??= this.#buffers.take()
      const taken = Math.min(rest.length, this.#buffers.bytes - this.#filled)
      this.#filling.set(rest.subarray(0, taken), this.#filled)
      this.#filled += taken
      rest = rest.subarray(taken)
      if (this.#writing === undefined) this.#startWriting()
    }
  }

  /** Resolves when every byte is written; to be called in any case, because it also waits for the buffers' return. */
  async flush(): Promise<void> {
    while (this.#writing) await this.#writing
    this.#throwFailure()
  }

  #startWriting(): void {
    const buffer = this.#filling
    if (buffer === undefined) return
    const bytes = buffer.subarray(0, this.#filled)
    this.#filling = undefined
    this.#filled = 0
    this.#writing = this.#write(bytes)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        this.#buffers.give(buffer)
        this.#writing = undefined
        if (!this.#failure) this.#startWriting()
      })
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#step(async () => {
      const writing = writeWhole(this.#file, bytes, this.#written)
      this.#hash?.update(bytes) // on this thread, while another one writes
      await writing
    })
    this.#written += bytes.length
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
