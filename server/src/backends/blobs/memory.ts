/** Blobs in memory, for tests: they behave as in a folder, down to chunks that are valid for one turn only. */
import { algorithmOf, type Digest, digestOf } from '@berth/oci'
import { type Clock, systemClock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { BlobStat, BlobStore, ByteRange, StoredSession } from './blob-store.ts'
import { SessionGates } from './session-gate.ts'
import { newSession, sessionPattern } from './session-id.ts'

const chunkBytes = 256 * 1024

export function openMemoryBlobStore(clock: Clock = systemClock): BlobStore {
  return new MemoryBlobStore(clock)
}

interface Session {
  /** In order. */
  readonly pieces: Uint8Array[]
  updatedAt: number
}

class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<Digest, Uint8Array>()
  readonly #sessions = new Map<string, Session>()
  readonly #gates = new SessionGates()
  readonly #clock: Clock
  #owner: string | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const blob = this.#blobs.get(digest)
    return blob && { size: blob.length }
  }

  async read(digest: Digest, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const blob = this.#blobs.get(digest)
    if (blob === undefined) throw new Fault('blobUnknown', { digest })
    if (range && range.end >= blob.length) throw new Error(`${digest} has ${blob.length} bytes only`)
    return inReusedChunks(range ? blob.subarray(range.start, range.end + 1) : blob)
  }

  async begin(): Promise<string> {
    return newSession()
  }

  async append(session: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    return this.#gates.enter(session, { ends: false }, async (step) => {
      let length = await step(async () => {
        if (offset === 0 && sessionPattern.test(session))
          this.#sessions.set(session, { pieces: [], updatedAt: this.#clock.now() })
        const pieces = this.#piecesOf(session)
        const kept = joined(pieces)
        if (offset > kept.length) throw new Fault('chunkOutOfOrder', { session, expectedOffset: kept.length })
        pieces.splice(0, pieces.length, kept.subarray(0, offset))
        return offset
      })
      for await (const chunk of bytes) {
        const piece = Uint8Array.from(chunk)
        await step(async () => this.#piecesOf(session).push(piece))
        length += piece.length
      }
      return length
    })
  }

  async commit(session: string, size: number, digest: Digest): Promise<void> {
    await this.#gates.enter(session, { ends: true }, (step) =>
      step(async () => {
        const bytes = joined(this.#piecesOf(session))
        if (bytes.length < size) throw new Fault('chunkOutOfOrder', { session, expectedOffset: bytes.length })
        this.#sessions.delete(session)
        const blob = bytes.subarray(0, size)
        const actual = digestOf(algorithmOf(digest), blob)
        if (actual !== digest) throw new Fault('digestMismatch', { expected: digest, actual })
        this.#blobs.set(digest, blob)
      }),
    )
  }

  async ensureDurable(digest: Digest): Promise<BlobStat | undefined> {
    return this.stat(digest)
  }

  async abort(session: string): Promise<void> {
    await this.#gates.enter(session, { ends: true }, (step) => step(async () => this.#sessions.delete(session)))
  }

  async *listSessions(): AsyncIterable<StoredSession> {
    for (const [session, { updatedAt }] of [...this.#sessions]) yield { session, updatedAt }
  }

  async delete(digest: Digest): Promise<boolean> {
    return this.#blobs.delete(digest)
  }

  async *list(after?: Digest): AsyncIterable<Digest> {
    for (const digest of [...this.#blobs.keys()].sort()) if (after === undefined || digest > after) yield digest
  }

  async owner(): Promise<string | undefined> {
    return this.#owner
  }

  async setOwner(owner: string): Promise<void> {
    this.#owner = owner
  }

  async dispose(): Promise<void> {
    this.#blobs.clear()
    this.#sessions.clear()
  }

  #piecesOf(session: string): Uint8Array[] {
    const found = this.#sessions.get(session)
    if (found === undefined) throw new Fault('blobUploadUnknown', { session })
    found.updatedAt = this.#clock.now()
    return found.pieces
  }
}

/** One buffer for all chunks, so that a test notices who keeps a chunk too long. */
async function* inReusedChunks(blob: Uint8Array): AsyncIterable<Uint8Array> {
  const buffer = new Uint8Array(Math.min(chunkBytes, blob.length))
  for (let start = 0; start < blob.length; start += chunkBytes) {
    const chunk = blob.subarray(start, start + chunkBytes)
    buffer.set(chunk)
    yield buffer.subarray(0, chunk.length)
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const only = pieces[0]
  return pieces.length === 1 && only ? only : Buffer.concat(pieces)
}
