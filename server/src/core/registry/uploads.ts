/**
 * Upload sessions: bytes arrive in one or many requests, perhaps through several processes, and become a blob at the end.
 *
 * The row in `upload_sessions` says how many bytes are known to be good; the store may hold more, which the next append
 * drops. One writer at a time: it claims the row, keeps the claim alive while bytes flow, and gives it back. A claim
 * without a sign of life (its process was killed) falls free by itself.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Digest } from '@berth/oci'
import type { AppendOptions, BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { run } from '../../backends/db/fixed-query.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { timestamp } from '../../base/timestamp.ts'
import { dropUpload } from './dropped-uploads.ts'
import { examineBlob } from './integrity/examine-blob.ts'
import { linkBlob, touchBlob } from './links.ts'
import { ensureRepository, type Place } from './place.ts'
import { sessionNames } from './session-names.ts'
import { begun, claimed, finished, ownSession, recorded, stored } from './upload-rows.ts'

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

/** How long a claim lives without being renewed, and how often a living writer renews it. */
const claimMs = 30_000
const renewMs = 10_000
/** How long a request waits for another one on the same session, such as the broken one that it retries. */
const claimPatienceMs = 5_000
const claimPollMs = 50
const releaseRetryMs = 500

/**
 * Frees every session whose writer was this server. Only for its first process, before there is any other: whoever held a
 * claim is dead then, and a client that resumes at once need not wait for it to expire. Other servers may be at work.
 */
export async function releaseDeadClaims(db: Database, node: string): Promise<void> {
  await db.write(
    (tables) =>
      tables
        .updateTable('upload_sessions')
        .set({ writer: null, writer_until: null })
        .where('writer', '>', `${node}:`)
        .where('writer', '<', `${node};`) // the sign after the colon
        .execute(),
    { sync: false, move: 'ignores' },
  )
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
  const names = sessionNames(sessionKey)

  async function find(place: Place, session: string): Promise<SessionRow> {
    if (!names.areOurs(session)) throw new Fault('blobUploadUnknown', { session })
    // Not `select`, whose snapshot may be older than the timer after which this looks again.
    const [row] = (await db.read((tables) => run(tables, ownSession, { session, ...place }))).rows
    if (row !== undefined) return row
    // A name that we gave out once and whose row is gone: finished or cancelled.
    throw new Fault('blobUploadInvalid', { session })
  }

  /** Runs `work` as the session's only writer. The claim is given back, unless `work` ended the session itself. */
  async function withClaim<T>(
    place: Place,
    session: string,
    work: (row: ClaimedRow) => Promise<{ result: T; sessionEnded: boolean }>,
  ): Promise<T> {
    return asWriter(await claim(place, session, newWriter()), work)
  }

  const newWriter = () => `${node}:${randomUUID()}`

  /** row: of a session that is claimed. */
  async function asWriter<T>(
    row: ClaimedRow,
    work: (row: ClaimedRow) => Promise<{ result: T; sessionEnded: boolean }>,
  ): Promise<T> {
    const { id: session, writer } = row
    const renewal = setInterval(() => {
      // A renewal that fails is tried again in time; one that keeps failing lets the claim expire, which is the point.
      setClaim(session, writer, writer).catch(() => undefined)
    }, renewMs)
    let sessionEnded = false
    try {
      const done = await work(row)
      sessionEnded = done.sessionEnded
      return done.result
    } catch (error) {
      if (isFault(error, 'unavailable')) await cutBack(row)
      throw error
    } finally {
      clearInterval(renewal)
      if (!sessionEnded) await release(session, writer)
    }
  }

  /**
   * On a full disk even this is refused. The request is judged by its work alone then, and whoever comes back when there is
   * room must not find a claim that nobody needs: it is tried again until the claim would have died anyway.
   */
  async function release(session: string, writer: string): Promise<void> {
    try {
      await setClaim(session, writer, null)
    } catch (error) {
      if (!isFault(error, 'unavailable')) throw error
      void releaseLater(session, writer)
    }
  }

  async function releaseLater(session: string, writer: string): Promise<void> {
    const deadline = performance.now() + claimMs
    while (performance.now() < deadline) {
      await pause(releaseRetryMs, undefined, { ref: false })
      try {
        await setClaim(session, writer, null)
        return
      } catch (error) {
        if (!isFault(error, 'unavailable')) return // the database is closed
      }
    }
  }

  async function claim(place: Place, session: string, writer: string): Promise<ClaimedRow> {
    for (let waitedMs = 0; ; waitedMs += claimPollMs) {
      const row = await find(place, session)
      if ((row.writer === null || claimIsDead(row)) && (await setClaim(session, row.writer, writer)))
        return { ...row, writer }
      if (waitedMs >= claimPatienceMs) throw new Fault('uploadBusy', { session })
      await new Promise((resolve) => setTimeout(resolve, claimPollMs))
    }
  }

  const claimEnd = () => new Date(clock.now() + claimMs).toISOString()

  const claimIsDead = (row: SessionRow) => row.writer_until === null || row.writer_until < timestamp(clock)

  /** Hands the claim from one writer to the next (null: nobody); false when it was somebody else's. */
  async function setClaim(session: string, from: string | null, to: string | null): Promise<boolean> {
    const until = to === null ? null : claimEnd()
    const { rows } = await db.write((tables) => run(tables, claimed, { session, from, to, until }), { sync: false })
    return rows.length > 0
  }

  /** Refuses a writer that stood still for so long that its claim has passed to another one. */
  async function record(
    row: SessionRow,
    progress: { offset: number; committing_digest?: string | null },
  ): Promise<void> {
    await db.write(
      async (tables) => {
        const { offset, committing_digest: committing = row.committing_digest } = progress
        const now = timestamp(clock)
        const { rows } = await run(tables, recorded, { session: row.id, writer: row.writer, offset, committing, now })
        if (rows.length === 0) throw new Fault('uploadBusy', { session: row.id })
        // A collection of the same digest must either see this session or be over, bytes included, before we store ours.
        if (progress.committing_digest) await touchBlob(tables, progress.committing_digest)
      },
      { sync: false },
    )
    Object.assign(row, progress)
  }

  /** After a power cut the store may have fewer bytes than the row says; the client goes on from what there is. */
  async function withTrueOffset<T>(row: SessionRow, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!isFault(error, 'chunkOutOfOrder')) throw error
      const { expectedOffset } = error.detail
      await record(row, { offset: expectedOffset })
      throw outOfOrder(row.id, expectedOffset)
    }
  }

  /**
   * Writes a chunk after the bytes that are there; the row does not know of it yet. interrupted: set where the client went
   * away, for a chunk without a range, whose beginning may be kept.
   */
  async function write(
    row: SessionRow,
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

  /**
   * What does not fit on the disk, or whose row does not, must not stay there: nobody else could push until somebody cleaned
   * up by hand. Where even this fails, the reason why is what the client is told already.
   */
  async function cutBack(row: SessionRow): Promise<void> {
    await store.append(row.store_session, row.offset, nothing()).catch(() => undefined)
  }

  async function append(row: SessionRow, chunk: Chunk): Promise<number> {
    const { length, interrupted } = await write(row, chunk)
    if (length !== row.offset) await record(row, { offset: length })
    if (interrupted !== undefined) throw interrupted
    return length
  }

  /** A closing chunk counts whole or not at all, so that a client may repeat the request that failed as it was. */
  async function writeLast(row: SessionRow, chunk: Chunk): Promise<number> {
    const { length, interrupted } = await write(row, chunk, { closing: true })
    if (interrupted !== undefined) throw interrupted
    return length
  }

  /** False when the claim has passed to another writer, who goes on. */
  async function forget(row: SessionRow): Promise<boolean> {
    return dropUpload(db, store, clock, row, (rows) => rows.where('writer', '=', row.writer))
  }

  async function commit(row: SessionRow, size: number, digest: Digest): Promise<void> {
    // After an end that got lost, the bytes may be gone, and only their size is known: no other digest may profit from it.
    if (row.committing_digest !== null && row.committing_digest !== digest) {
      await forget(row)
      throw new Fault('blobUploadInvalid', { session: row.id })
    }
    const before = { offset: row.offset, committing_digest: row.committing_digest }
    await record(row, { offset: size, committing_digest: digest })
    try {
      await withTrueOffset(row, () => store.commit(row.store_session, size, digest))
    } catch (error) {
      if (isFault(error, 'digestMismatch')) await forget(row)
      if (isFault(error, 'unavailable')) await record(row, before)
      // Proved and moved into place by an earlier try whose rows, or even whose folder entry, were never written.
      const movedBefore = isFault(error, 'blobUploadUnknown') && before.committing_digest === digest
      if (!movedBefore || !(await isThere(digest, size))) throw error
    }
  }

  /** The size alone proves nothing: those bytes may have been there for long, and be damaged. */
  async function isThere(digest: Digest, size: number): Promise<boolean> {
    const bytes = await examineBlob(store, digest)
    const isRight = bytes.kind === 'read' && bytes.actual === digest
    return isRight && (await store.ensureDurable(digest))?.size === size
  }

  /** writer: who has claimed it from its beginning. */
  async function begin<Writer extends string | null>(
    place: Place,
    writer: Writer,
  ): Promise<SessionRow & { readonly writer: Writer }> {
    const session = names.make()
    const storeSession = await store.begin()
    const now = timestamp(clock)
    const recording = db.write(
      async (tables) => {
        const until = writer === null ? null : claimEnd()
        const { rows } = await run(tables, begun, { session, ...place, storeSession, writer, until, now })
        if (rows.length === 0) throw new Fault('repositoryUnknown', { repository: place.repository })
      },
      { sync: false },
    )
    await recording.catch((error: unknown) => dropUnrecorded(storeSession, error))
    return { id: session, store_session: storeSession, offset: 0, committing_digest: null, writer, writer_until: null }
  }

  /** Without a row nobody would ever find the store's session again. */
  async function dropUnrecorded(storeSession: string, error: unknown): Promise<never> {
    await store.abort(storeSession).catch((abortError: unknown) => {
      throw new AggregateError([error, abortError], 'an upload session was not recorded, and its bytes stay')
    })
    throw error
  }

  async function finish(row: ClaimedRow, place: Place, digest: Digest, chunk?: Chunk) {
    const size = chunk === undefined ? row.offset : await writeLast(row, chunk)
    await commit(row, size, digest)
    await db.write(async (tables) => {
      const now = timestamp(clock)
      // While the session was there and ours and said so, no collection took the bytes. What it said was not synced: a
      // database that crashed meanwhile may know the session, but nothing of its digest.
      const { rows } = await run(tables, finished, { session: row.id, writer: row.writer, digest })
      if (rows.length === 0) throw new Fault('uploadBusy', { session: row.id })
      await run(tables, stored, { digest, size, now })
      await linkBlob(tables, await ensureRepository(tables, place, now), digest, now)
    })
    onPushed(digest)
    return { result: size, sessionEnded: true }
  }

  async function cancelUpload(place: Place, session: string): Promise<void> {
    await withClaim(place, session, async (row) => {
      if (!(await forget(row))) throw new Fault('uploadBusy', { session })
      return { result: undefined, sessionEnded: true }
    })
  }

  return {
    cancelUpload,

    async startUpload(place) {
      const { id } = await begin(place, null)
      return { session: id, offset: 0 }
    },

    async finishUpload(place, session, digest, chunk) {
      return withClaim(place, session, (row) => finish(row, place, digest, chunk))
    },

    async pushBlob(place, digest, bytes) {
      return asWriter(await begin(place, newWriter()), async (row) => {
        try {
          return await finish(row, place, digest, { bytes })
        } catch (error) {
          // Nobody knows the session's name, so nobody can resume it. What cannot be dropped now (the database is gone, say)
          // expires; the client must hear why its push failed, not why tidying up did.
          if (!isFault(error, 'digestMismatch')) await forget(row).catch(() => undefined)
          throw error
        }
      })
    },

    async getUpload(place, session) {
      const row = await find(place, session)
      return { session, offset: row.offset }
    },

    async appendToUpload(place, session, chunk) {
      return withClaim(place, session, async (row) => {
        const offset = await append(row, chunk)
        return { result: { session, offset }, sessionEnded: false }
      })
    },
  }
}

interface SessionRow {
  readonly id: string
  readonly store_session: string
  /** As it is recorded, also while this server changes it. */
  offset: number
  committing_digest: string | null
  readonly writer: string | null
  readonly writer_until: string | null
}

interface ClaimedRow extends SessionRow {
  readonly writer: string
}

function outOfOrder(session: string, expectedOffset: number): Fault<'chunkOutOfOrder'> {
  return new Fault('chunkOutOfOrder', { session, expectedOffset })
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

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
