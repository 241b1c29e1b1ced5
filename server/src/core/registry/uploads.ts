/**
 * Upload sessions: bytes arrive in one or many requests, perhaps through several processes, and become a blob at the end.
 *
 * The row in `upload_sessions` says how many bytes are known to be good; the store may hold more, which the next append
 * drops. One writer at a time: `upload-claims.ts`.
 */
import type { Digest } from '@berth/oci'
import type { AppendOptions, BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { run } from '../../backends/db/fixed-query.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { timestamp } from '../../base/timestamp.ts'
import { dropUpload, type SessionRows } from './dropped-uploads.ts'
import { examineBlob } from './integrity/examine-blob.ts'
import { linkBlob } from './links.ts'
import { ensureRepository, findRepository, type Place } from './place.ts'
import { sessionNames } from './session-names.ts'
import { type ClaimedSession, createUploadClaims, noBytes, type Worked } from './upload-claims.ts'
import { finished, stored } from './upload-rows.ts'

export interface UploadStatus {
  /** The session's name in URLs; a UUID. */
  readonly session: string
  /** Bytes received so far. */
  readonly offset: number
}

export interface Chunk {
  readonly bytes: AsyncIterable<Uint8Array>
  /** Where the client says the chunk belongs, inclusive; absent means "append". */
  readonly range?: { readonly start: number; readonly end: number }
  /** How many bytes the client says it sends, when it says so besides a range. */
  readonly announcedBytes?: number | undefined
}

export interface Uploads {
  /** Faults: `repositoryUnknown` when there is no such registry. */
  startUpload(place: Place): Promise<UploadStatus>
  /** Stores a blob in one go. Faults: `digestMismatch`, `clientGone`, `repositoryUnknown`. Returns its size in bytes. */
  pushBlob(place: Place, digest: Digest, bytes: AsyncIterable<Uint8Array>): Promise<number>
  /** Faults: `blobUploadUnknown`, `blobUploadInvalid`. */
  getUpload(place: Place, session: string): Promise<UploadStatus>
  /**
   * Adds bytes. When the client goes away in the middle, what arrived is kept and can be resumed, unless a range was
   * announced: a chunk with a range counts whole or not at all.
   * Faults: `blobUploadUnknown`, `blobUploadInvalid`, `chunkOutOfOrder`, `sizeInvalid`, `uploadBusy`, `clientGone`,
   * `unavailable` (full disk, locked database).
   * Spec: OCI distribution-spec 1.1, "Pushing a blob in chunks".
   */
  appendToUpload(place: Place, session: string, chunk: Chunk): Promise<UploadStatus>
  /**
   * Closes a session, after adding a last chunk if there is one (whole or not at all), and links the blob to the
   * repository. When this resolves, bytes, folder entry and rows are on disk. Returns the blob's size in bytes.
   * Faults: as `appendToUpload`; `digestMismatch` (the session is gone afterwards).
   */
  finishUpload(place: Place, session: string, digest: Digest, chunk?: Chunk): Promise<number>
  /** Faults: `blobUploadUnknown`, `blobUploadInvalid`, `uploadBusy`. */
  cancelUpload(place: Place, session: string): Promise<void>
}

/**
 * node: what this server is called among those on the same database. onPushed: called when a blob has been stored, perhaps in
 * place of one with the same digest.
 */
export function createUploads(
  db: Database,
  store: BlobStore,
  clock: Clock,
  sessionKey: Uint8Array,
  node: string,
  onPushed: (digest: Digest) => void,
): Uploads {
  const claims = createUploadClaims(db, store, clock, sessionNames(sessionKey, clock), node)

  /** After a power cut the store may have fewer bytes than the row says; the client goes on from what there is. */
  async function withTrueOffset<T>(row: ClaimedSession, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isFault(error, 'chunkOutOfOrder')) throw error
      const { expectedOffset } = error.detail
      await claims.record(row, expectedOffset, 'goOn')
      throw outOfOrder(row.id, expectedOffset)
    }
  }

  /**
   * Writes a chunk after the bytes that are there; the row does not know of it yet. interrupted: set where the client went
   * away, for a chunk without a range, whose beginning may be kept.
   */
  async function write(
    row: ClaimedSession,
    chunk: Chunk,
    options?: AppendOptions,
  ): Promise<{ length: number; interrupted?: Fault<'clientGone'> }> {
    const { id: session, offset } = row
    const { range } = chunk
    if (range === undefined) {
      const source = keepingWhatArrived(chunk.bytes)
      const length = await withTrueOffset(row, () => store.append(row.store_session, offset, source.bytes, options))
      return { length, ...source.outcome }
    }
    if (range.start !== offset) throw outOfOrder(session, offset)
    const announced = range.end - range.start + 1
    if (chunk.announcedBytes !== undefined && chunk.announcedBytes !== announced) {
      throw new Fault('sizeInvalid', { expected: announced, actual: chunk.announcedBytes })
    }
    const length = await withTrueOffset(row, () =>
      store.append(row.store_session, offset, atMost(chunk.bytes, announced), options),
    )
    if (length - offset !== announced) throw new Fault('sizeInvalid', { expected: announced, actual: length - offset })
    return { length }
  }

  /** Gives the claim back. */
  async function append(row: ClaimedSession, chunk: Chunk): Promise<number> {
    const { length, interrupted } = await write(row, chunk)
    await claims.record(row, length, 'release')
    if (interrupted !== undefined) throw interrupted
    return length
  }

  /** A closing chunk counts whole or not at all, so that a client may repeat the request that failed as it was. */
  async function writeLast(row: ClaimedSession, chunk: Chunk): Promise<number> {
    const { length, interrupted } = await write(row, chunk, { closing: true })
    if (interrupted !== undefined) throw interrupted
    return length
  }

  /** False when the claim has passed to another writer, who goes on. */
  async function forget(place: Place, row: ClaimedSession): Promise<boolean> {
    const ours = (rows: SessionRows) => rows.where('writer', '=', row.writer)
    return dropUpload(db, store, clock, row, ours, (tables) => claims.rememberEnd(tables, place, row))
  }

  /** Moves the session's bytes, with the last chunk, into their place; how many they are. */
  async function commit(place: Place, row: ClaimedSession, digest: Digest, chunk: Chunk | undefined): Promise<number> {
    const before = row.committing_digest
    try {
      // Where nothing has come at all, the store need not know the session yet.
      const isEmpty = chunk === undefined && row.offset === 0 && before === null
      const last = isEmpty ? { bytes: noBytes() } : chunk
      const size = last === undefined ? row.offset : await writeLast(row, last)
      row.committing_digest = digest
      await withTrueOffset(row, () => store.commit(row.store_session, size, digest))
      return size
    } catch (error) {
      if (!mayHaveMovedBytes(error)) row.committing_digest = before
      // Proved and moved into place by an earlier try whose rows, or even whose folder entry, were never written.
      const wasMoved = isFault(error, 'blobUploadUnknown') && before === digest
      const size = wasMoved && (await isNobodyElses(place, digest)) ? await durableSize(digest) : undefined
      if (size === undefined) throw error
      return size
    }
  }

  /**
   * What an earlier try was about to close the session with is no proof that its client had the bytes: where they are stored for
   * somebody else, now or until a moment ago, whoever cannot read them here already sends them again.
   */
  async function isNobodyElses(place: Place, digest: Digest): Promise<boolean> {
    return db.read(async (tables) => {
      const blob = tables.selectFrom('blobs').where('digest', '=', digest).select('digest')
      if ((await blob.executeTakeFirst()) === undefined) return true
      const own = await findRepository(tables, place)
      if (own === undefined) return false
      const link = tables.selectFrom('repository_blobs').where('repository_id', '=', own).where('digest', '=', digest)
      return (await link.select('digest').executeTakeFirst()) !== undefined
    })
  }

  /** Undefined where the blob is not there or not right: those bytes may have been there for long, and be damaged. */
  async function durableSize(digest: Digest): Promise<number | undefined> {
    const bytes = await examineBlob(store, digest)
    const isRight = bytes.kind === 'read' && bytes.actual === digest
    return isRight ? (await store.ensureDurable(digest))?.size : undefined
  }

  async function finish(place: Place, row: ClaimedSession, digest: Digest, chunk?: Chunk): Promise<Worked<number>> {
    // After an end that got lost, the bytes may be gone: no other digest may profit from it.
    if (row.committing_digest !== null && row.committing_digest !== digest) {
      await forget(place, row)
      throw new Fault('blobUploadInvalid', { session: row.id })
    }
    const size = await commit(place, row, digest, chunk).catch(async (error: unknown) => {
      if (isFault(error, 'digestMismatch')) await forget(place, row)
      throw error
    })
    await claims.forgetEnds()
    await db.write(async (tables) => {
      const now = timestamp(clock)
      // While the session was there and ours and said so, no collection took the bytes. What it said was not synced: a
      // database that crashed meanwhile may know the session, but nothing of its digest.
      const { rows } = await run(tables, finished, { session: row.id, writer: row.writer, digest })
      if (rows.length === 0) throw new Fault('uploadBusy', { session: row.id })
      await claims.rememberEnd(tables, place, row)
      await run(tables, stored, { digest, size, now })
      await linkBlob(tables, await ensureRepository(tables, place, now), digest, now)
    })
    onPushed(digest)
    return { result: size, isOver: true }
  }

  return {
    async startUpload(place) {
      return { session: await claims.start(place), offset: 0 }
    },

    async pushBlob(place, digest, bytes) {
      return claims.withClaim(place, await claims.start(place), digest, async (row) => {
        try {
          return await finish(place, row, digest, { bytes })
        } catch (error) {
          // Nobody knows the session's name, so nobody can resume it. What cannot be dropped now (the database is gone, say)
          // expires; the client must hear why its push failed, not why tidying up did.
          if (!isFault(error, 'digestMismatch')) await forget(place, row).catch(() => undefined)
          throw error
        }
      })
    },

    async getUpload(place, session) {
      return { session, offset: await claims.offsetOf(place, session) }
    },

    async appendToUpload(place, session, chunk) {
      return claims.withClaim(place, session, undefined, async (row) => {
        const offset = await append(row, chunk)
        return { result: { session, offset }, isOver: true }
      })
    },

    async finishUpload(place, session, digest, chunk) {
      return claims.withClaim(place, session, digest, (row) => finish(place, row, digest, chunk))
    },

    async cancelUpload(place, session) {
      await claims.withClaim(place, session, undefined, async (row) => {
        if (!(await forget(place, row))) throw new Fault('uploadBusy', { session })
        return { result: undefined, isOver: true }
      })
    },
  }
}

/**
 * False where a commit ended before it moved anything. A full disk or a store that does not answer may also be what it met
 * after that.
 */
const mayHaveMovedBytes = (error: unknown) => !isFault(error, 'chunkOutOfOrder') && !isFault(error, 'digestMismatch')

function outOfOrder(session: string, expectedOffset: number): Fault<'chunkOutOfOrder'> {
  return new Fault('chunkOutOfOrder', { session, expectedOffset })
}

/** Ends quietly where the client goes away, and remembers why, so that the bytes before it can be recorded first. */
function keepingWhatArrived(bytes: AsyncIterable<Uint8Array>) {
  const outcome: { interrupted?: Fault<'clientGone'> } = {}
  async function* arriving(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* bytes
    } catch (error) {
      if (!isFault(error, 'clientGone')) throw error
      outcome.interrupted = error
    }
  }
  return { bytes: arriving(), outcome }
}

/** Passes through at most `limit` bytes and one more, so that a longer body is seen to be longer without being stored. */
async function* atMost(bytes: AsyncIterable<Uint8Array>, limit: number): AsyncGenerator<Uint8Array, void, undefined> {
  let left = limit + 1
  for await (const chunk of bytes) {
    if (chunk.length >= left) {
      yield chunk.subarray(0, left)
      return
    }
    left -= chunk.length
    yield chunk
  }
}
