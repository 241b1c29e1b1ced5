/** Reading a file ahead of its consumer, through two buffers. */
import { closeFile, readSome } from '../../base/descriptor.ts'
import type { FileBytes, FileSlice } from '../../base/file-bytes.ts'
import type { LentBuffers } from '../../base/lent-buffers.ts'

/**
 * While the consumer uses one buffer, the next bytes are read into the other; asking for the next chunk takes the
 * first one back. When no second large buffer is to be had, nothing is read ahead. Throws when the file ends before `end`:
 * a short answer must not look like a whole one. Closes the file when it is through, or told to stop.
 */
export class BlobReader implements AsyncIterableIterator<Uint8Array, undefined>, FileBytes {
  readonly #slice: FileSlice
  readonly #buffers: LentBuffers
  /** Where the next chunk starts. */
  #position: number
  /** What the consumer is looking at. */
  #lent: Buffer | undefined
  #ahead: { readonly buffer: Buffer; readonly bytes: Promise<number> } | undefined
  #closed = false

  constructor(slice: FileSlice, buffers: LentBuffers) {
    this.#slice = slice
    this.#buffers = buffers
    this.#position = slice.start
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  takeFile(): FileSlice {
    if (this.#closed || this.#ahead || this.#lent) throw new Error('it is being read already')
    this.#closed = true
    return this.#slice
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#giveLent()
    if (this.#closed || this.#position >= this.#slice.end) return this.return()
    try {
      this.#ahead ??= this.#read(this.#buffers.take())
      const { buffer, bytes } = this.#ahead
      const length = await bytes
      this.#position += length
      this.#ahead = undefined
      this.#lent = buffer
      const next = this.#position < this.#slice.end ? this.#buffers.takeLarge() : undefined
      if (next) this.#ahead = this.#read(next)
      return { done: false, value: buffer.subarray(0, length) }
    } catch (error) {
      await this.return()
      throw error
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    if (!this.#closed) {
      this.#closed = true
      await this.#ahead?.bytes.catch(() => {}) // the system must be done with the buffer before somebody else gets it
      this.#giveLent()
      if (this.#ahead) this.#buffers.give(this.#ahead.buffer)
      closeFile(this.#slice.file)
    }
    return { done: true, value: undefined }
  }

  #giveLent(): void {
    if (this.#lent) this.#buffers.give(this.#lent)
    this.#lent = undefined
  }

  #read(buffer: Buffer): { buffer: Buffer; bytes: Promise<number> } {
    const { file, end } = this.#slice
    const bytes = readSome(file, buffer, Math.min(buffer.length, end - this.#position), this.#position)
    bytes.catch(() => {}) // told to the consumer when it asks for this chunk, which may be never
    return { buffer, bytes }
  }
}
