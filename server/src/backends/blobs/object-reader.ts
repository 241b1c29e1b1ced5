/** Reading an object as a stream that does not end early, whatever happens to the connection. */
import type { Readable } from 'node:stream'
import { noteUsedUp } from '../../base/used-up.ts'
import type { ByteRange } from './blob-store.ts'
import { networkTrouble, type ObjectBody, ObjectStoreError } from './object-store.ts'

export interface ObjectSlice {
  /** For messages. */
  readonly name: string
  readonly start: number
  /** The first byte that is not wanted any more. */
  readonly end: number
  /** Opens the object once more, further on. Undefined: it is gone. */
  readonly reopen: (range: ByteRange) => Promise<ObjectBody | undefined>
  /** How long the store may take for the next bytes while somebody waits for them. */
  readonly stallMs: number
}

/** Connections in a row that bring nothing. */
const fruitlessTries = 3

/**
 * No more is read ahead than the connection holds: a reader that is slow slows the store down. A connection that breaks is
 * replaced where it broke off, which is safe because the bytes of a digest do not change.
 */
export class ObjectReader implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #slice: ObjectSlice
  #position: number
  #body: Readable
  #chunks: AsyncIterator<Buffer>
  #closed = false

  /** body: the first answer, which has as many bytes as the slice. */
  constructor(slice: ObjectSlice, body: Readable) {
    this.#slice = slice
    this.#position = slice.start
    this.#body = body
    this.#chunks = chunksOf(body)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#closed || this.#position >= this.#slice.end) return this.return()
    try {
      const chunk = await this.#nextChunk()
      this.#position += chunk.length
      noteUsedUp(chunk.length) // the one before it, strictly speaking
      if (this.#position > this.#slice.end) throw new Error(`more than asked for came of ${this.#slice.name}`)
      return { done: false, value: chunk }
    } catch (error) {
      await this.return()
      throw error
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#closed = true
    this.#body.destroy()
    return { done: true, value: undefined }
  }

  async #nextChunk(): Promise<Uint8Array> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#readChunk()
      } catch (error) {
        if (tries === fruitlessTries) throw error
        await this.#reconnect()
      }
    }
  }

  async #readChunk(): Promise<Uint8Array> {
    const body = this.#body
    const timer = setTimeout(() => {
      body.destroy(new ObjectStoreError('unreachable', `${this.#slice.name} stands still`))
    }, this.#slice.stallMs)
    try {
      const { value, done } = await this.#chunks.next()
      if (done)
        throw new ObjectStoreError('unreachable', `${this.#slice.name} ended early, after ${this.#position} bytes`)
      return value
    } catch (error) {
      throw error instanceof ObjectStoreError ? error : brokenOff(this.#slice.name, error)
    } finally {
      clearTimeout(timer)
    }
  }

  async #reconnect(): Promise<void> {
    this.#body.destroy()
    const { name, end, reopen } = this.#slice
    const body = await reopen({ start: this.#position, end: end - 1 })
    if (body === undefined) throw new Error(`${name} was deleted while it was read`)
    this.#body = body.bytes
    this.#chunks = chunksOf(body.bytes)
  }
}

function chunksOf(body: Readable): AsyncIterator<Buffer> {
  body.on('error', () => undefined) // told by the iterator, or of no interest any more
  return body[Symbol.asyncIterator]()
}

function brokenOff(name: string, error: unknown): ObjectStoreError {
  return new ObjectStoreError('unreachable', `${name} broke off: ${networkTrouble(error) ?? (error as Error).message}`)
}
