/** From a client's bytes to segments in an object store, with bounded memory. */
import type { Hash } from 'node:crypto'
import { noteUsedUp } from '../../base/used-up.ts'
import type { RetryingObjects } from './object-retries.ts'
import { segmentName } from './object-session.ts'
import type { Multipart } from './object-store.ts'
import type { Holder, PartBuffers } from './part-buffers.ts'
import type { Step } from './session-gate.ts'

export interface SegmentWriterOptions {
  readonly objects: RetryingObjects
  /** Where the session's objects are: `uploads/<session>/`. */
  readonly prefix: string
  /** Of its segments. */
  readonly sequence: number
  /** Where the first byte goes. */
  readonly offset: number
  /** Fed with every byte, in order. */
  readonly hash: Hash | undefined
  readonly buffers: PartBuffers
  readonly step: Step
}

/** All bytes of a session, none of which is in a segment yet. */
export interface Tail {
  readonly bytes: Uint8Array
  /** Gives the memory back. */
  release(): void
}

/** A segment ends here at the latest, so that it has few parts and is copied in few calls. */
const segmentParts = 512

/**
 * While one buffer is on its way to the store, the other fills up. What fits into one part becomes an object in a single
 * call; more is a multipart upload. Bytes are copied, so the giver may reuse its chunks.
 */
export class SegmentWriter implements Holder {
  readonly #options: SegmentWriterOptions
  /** Names of the segments that are whole, in order. */
  readonly names: string[] = []
  /** Where the next segment starts. */
  #offset: number
  #position: number
  #filling: Buffer | undefined
  #filled = 0
  #segment: { readonly name: string; readonly multipart: Multipart; readonly tags: string[]; bytes: number } | undefined
  /** Never rejects; `#failure` tells. */
  #writing: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(options: SegmentWriterOptions) {
    this.#options = options
    this.#offset = options.offset
    this.#position = options.offset
  }

  /** The session's length with every byte that was pushed. */
  get position(): number {
    return this.#position
  }

  /** Resolves when the chunk is used up. Throws when something before could not be written. */
  async push(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0; ) {
      this.#throwFailure()
      const buffer = this.#filling
      // Looked at anew in every turn: whoever needs memory may have had the buffer written and taken meanwhile.
      if (buffer === undefined || this.#filled === buffer.length) {
        await this.#makeRoom(buffer)
        continue
      }
      const taken = rest.subarray(0, buffer.length - this.#filled)
      buffer.set(taken, this.#filled)
      this.#options.hash?.update(taken)
      this.#filled += taken.length
      this.#position += taken.length
      rest = rest.subarray(taken.length)
    }
    noteUsedUp(chunk.length)
  }

  async #makeRoom(full: Buffer | undefined): Promise<void> {
    const { buffers } = this.#options
    if (full?.length === buffers.partBytes) {
      await this.#writing
      if (this.#filling === full && !this.#failure) this.#write({ last: false })
      return
    }
    const large = full !== undefined || this.#position - this.#options.offset >= buffers.smallBytes
    const bytes = large ? buffers.partBytes : buffers.smallBytes
    const free = buffers.takeFree(bytes, this)
    // A second buffer is a luxury: our own comes back before somebody else's has to be written half full.
    if (free === undefined && this.#writing) return this.#writing
    const fresh = free ?? (await buffers.take(bytes, this))
    if (this.#filling !== undefined) {
      fresh.set(this.#filling.subarray(0, this.#filled))
      buffers.give(this.#filling)
    }
    this.#filling = fresh
  }

  /** Called when others wait for memory. */
  spill(): void {
    if (this.#writing || this.#filling === undefined) return
    if (this.#filled > 0 && !this.#failure) this.#write({ last: true })
    else this.#giveBack()
  }

  /**
   * Resolves when every byte is in the store; to be called in any case, because it gives the memory back.
   * keepTail: leaves the bytes in memory and returns them, when they fit and are all that the session has. With segments
   * before them, joining them would take a second buffer, and many who hold one and wait for another wait for ever.
   */
  async finish({ keepTail }: { readonly keepTail: boolean }): Promise<Tail | undefined> {
    try {
      await this.#writing
      this.#throwFailure()
      const alone = this.#offset === 0 && this.#segment === undefined
      if (keepTail && alone && this.#filling !== undefined && this.#filled > 0) return this.#cutOff()
      if (this.#segment !== undefined || this.#filled > 0) this.#write({ last: true })
      await this.#writing
      this.#throwFailure()
      return undefined
    } catch (error) {
      await this.#abandon()
      throw error
    } finally {
      this.#giveBack()
    }
  }

  #cutOff(): Tail | undefined {
    const buffer = this.#filling
    if (buffer === undefined) return undefined
    const bytes = buffer.subarray(0, this.#filled)
    this.#filling = undefined
    return { bytes, release: () => this.#options.buffers.give(buffer) }
  }

  /** last: whether the segment ends with these bytes. */
  #write({ last }: { readonly last: boolean }): void {
    const buffer = this.#filling
    const bytes = buffer?.subarray(0, this.#filled) ?? new Uint8Array()
    this.#filling = undefined
    this.#filled = 0
    this.#writing = this.#options
      .step(() => this.#writePart(bytes, last))
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        if (buffer !== undefined) this.#options.buffers.give(buffer)
        this.#writing = undefined
      })
  }

  async #writePart(bytes: Uint8Array, last: boolean): Promise<void> {
    const { objects, prefix, sequence } = this.#options
    if (this.#segment === undefined) {
      const name = segmentName(sequence, this.#offset)
      if (last) {
        await objects.put(prefix + name, bytes)
        return this.#ended(name, bytes.length)
      }
      this.#segment = { name, multipart: await objects.begin(prefix + name), tags: [], bytes: 0 }
    }
    const segment = this.#segment
    if (bytes.length > 0) {
      segment.tags.push(await objects.putPart(segment.multipart, segment.tags.length + 1, bytes))
      segment.bytes += bytes.length
    }
    if (!last && segment.tags.length < Math.min(segmentParts, objects.limits.maxParts)) return
    await objects.complete(segment.multipart, segment.tags, segment.bytes)
    this.#segment = undefined
    this.#ended(segment.name, segment.bytes)
  }

  #ended(name: string, bytes: number): void {
    this.names.push(name)
    this.#offset += bytes
  }

  /** Where the store cannot be reached for that either, whoever drops the session finds the parts. */
  async #abandon(): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    if (segment) await this.#options.objects.abandon(segment.multipart).catch(() => undefined)
  }

  #giveBack(): void {
    if (this.#filling) this.#options.buffers.give(this.#filling)
    this.#filling = undefined
    this.#filled = 0
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error
  }
}
