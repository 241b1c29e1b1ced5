/**
 * Who writes to an upload session. One at a time: a request claims the session's row, keeps the claim alive while bytes flow,
 * and gives it back. A claim without a sign of life (its process was killed) falls free by itself.
 *
 * A session has no row before its first request with bytes: until then its name says all that there is to say.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Digest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { run } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { timestamp } from '../../base/timestamp.ts'
import { touchBlob } from './links.ts'
import type { Place } from './place.ts'
import { firstRequestMinutes, isSessionName, type SessionNames, thisMinute } from './session-names.ts'
import { storedDigest } from './stored-digest.ts'
import {
  begun,
  claimed,
  ended,
  forgotten,
  intended,
  ownSession,
  recorded,
  registryNamed,
  renewed,
  wasEnded,
} from './upload-rows.ts'

/** A session that this request alone writes to. */
export interface ClaimedSession {
  readonly id: string
  readonly store_session: string
  /** Bytes, as they are recorded. */
  offset: number
  /** What an earlier request, or this one since it has begun to move the bytes, closes the session with. */
  committing_digest: string | null
  readonly writer: string
  /** Where this request has begun it: when its name was given out, in minutes since the epoch. */
  readonly madeIn?: number
}

/** What comes of the work on a session. isOver: neither the session nor a claim on it is left. */
export interface Worked<T> {
  readonly result: T
  readonly isOver: boolean
}

export interface UploadClaims {
  /** Names a new session. Fault: `repositoryUnknown` when there is no such registry. */
  start(place: Place): Promise<string>
  /** Bytes that are recorded. Faults: `blobUploadUnknown`, `blobUploadInvalid`. */
  offsetOf(place: Place, session: string): Promise<number>
  /**
   * Runs `work` as the session's only writer. digest: what it is going to close the session with; from now on, a collection of
   * the same digest either sees the session or is over, bytes included.
   * Faults: `blobUploadUnknown`, `blobUploadInvalid`, `uploadBusy` when another writer does not end within five seconds.
   */
  withClaim<T>(
    place: Place,
    session: string,
    digest: Digest | undefined,
    work: (row: ClaimedSession) => Promise<Worked<T>>,
  ): Promise<T>
  /** Writes down how far the row's session is, and gives the claim back if that was all. Fault: `uploadBusy` when it is lost. */
  record(row: ClaimedSession, offset: number, next: 'goOn' | 'release'): Promise<void>
  /** That the session's name is used up; inside the transaction that removes its row. */
  rememberEnd(tables: Kysely<Tables>, place: Place, row: ClaimedSession): Promise<void>
  /** Once a minute, drops what need not be remembered any more. */
  forgetEnds(): Promise<void>
}

interface Claiming {
  readonly session: string
  readonly writer: string
  readonly digest: Digest | undefined
}

/** How long a claim lives without being renewed, and how often a living writer renews it. */
const claimMs = 30_000
const renewMs = 10_000
/** How long a request waits for another one on the same session, such as the broken one that it retries. */
const claimPatienceMs = 5_000
const claimPollMs = 50
const releaseRetryMs = 500
/** Longer than a name may begin a session, whatever the server's clock. */
const rememberedMinutes = firstRequestMinutes + 5

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

export function createUploadClaims(
  db: Database,
  store: BlobStore,
  clock: Clock,
  names: SessionNames,
  node: string,
): UploadClaims {
  const oldestRemembered = () => thisMinute(clock) - rememberedMinutes
  let forgottenBefore = oldestRemembered()

  /** The session's row, or the minute in which its name was given out for one that may begin now. */
  async function find(place: Place, session: string) {
    if (!isSessionName(session)) throw new Fault('blobUploadUnknown', { session })
    const [row] = await db.select(ownSession, { session, ...place })
    if (row !== undefined) return { row }
    const name = names.read(session, place)
    if (name === undefined) throw new Fault('blobUploadUnknown', { session })
    const { madeIn } = name
    // Not in the transaction that begins it: on PostgreSQL, every end of another one would be in its way.
    const isOver = !name.mayBegin || (await db.select(wasEnded, { session, madeIn })).length > 0
    if (isOver) throw new Fault('blobUploadInvalid', { session })
    return { madeIn }
  }

  async function claim(place: Place, session: string, digest: Digest | undefined): Promise<ClaimedSession> {
    const writer = `${node}:${randomUUID()}`
    for (let waitedMs = 0; ; waitedMs += claimPollMs) {
      const found = await find(place, session)
      const mine =
        found.row === undefined
          ? await begin(place, { session, writer, digest, madeIn: found.madeIn })
          : isFree(found.row) && (await take({ session, writer, digest }))
      if (mine) return mine
      if (waitedMs >= claimPatienceMs) throw new Fault('uploadBusy', { session })
      await new Promise((resolve) => setTimeout(resolve, claimPollMs))
    }
  }

  const isFree = (row: { readonly writer: string | null; readonly writer_until: string | null }) =>
    row.writer === null || (row.writer_until !== null && row.writer_until < timestamp(clock))

  const claimEnd = () => new Date(clock.now() + claimMs).toISOString()

  /** Undefined when somebody else was faster. */
  function take({ session, writer, digest }: Claiming): Promise<ClaimedSession | undefined> {
    return db.write(
      async (tables) => {
        const claiming = { session, writer, until: claimEnd(), now: timestamp(clock) }
        const [row] = (await run(tables, claimed, claiming)).rows
        if (row === undefined) return undefined
        if (digest !== undefined) {
          await run(tables, intended, { session, digest })
          await touchBlob(tables, digest)
        }
        return { ...row, writer }
      },
      { sync: false },
    )
  }

  /** The session's first row. Undefined when somebody else was faster. */
  async function begin(
    place: Place,
    { session, writer, digest, madeIn }: Claiming & { readonly madeIn: number },
  ): Promise<ClaimedSession | undefined> {
    const storeSession = await store.begin()
    const recording = db.write(
      async (tables) => {
        const claiming = { session, writer, until: claimEnd(), now: timestamp(clock) }
        const beginning = { ...claiming, ...place, storeSession, committing: digest ?? null }
        const { rows } = await run(tables, begun, beginning)
        if (rows.length > 0 && digest !== undefined) await touchBlob(tables, digest)
        return rows.length > 0
      },
      { sync: false },
    )
    const isBegun = await recording.catch((error: unknown) => dropUnrecorded(storeSession, error))
    if (isBegun) return { id: session, store_session: storeSession, offset: 0, committing_digest: null, writer, madeIn }
    await store.abort(storeSession)
    requireRegistry(await db.select(registryNamed, { registry: place.registry }), place)
    return undefined
  }

  /** Without a row nobody would ever find the store's session again. */
  async function dropUnrecorded(storeSession: string, error: unknown): Promise<never> {
    await store.abort(storeSession).catch((abortError: unknown) => {
      throw new AggregateError([error, abortError], 'an upload session was not recorded, and its bytes stay')
    })
    throw error
  }

  async function asWriter<T>(row: ClaimedSession, work: (row: ClaimedSession) => Promise<Worked<T>>): Promise<T> {
    const renewal = setInterval(() => {
      // A renewal that fails is tried again in time; one that keeps failing lets the claim expire, which is the point.
      renew(row).catch(() => undefined)
    }, renewMs)
    let isOver = false
    try {
      const done = await work(row)
      isOver = done.isOver
      return done.result
    } catch (error) {
      if (isFault(error, 'unavailable')) await cutBack(row)
      throw error
    } finally {
      clearInterval(renewal)
      if (!isOver) await release(row)
    }
  }

  async function renew({ id: session, writer }: ClaimedSession): Promise<void> {
    await db.write((tables) => run(tables, renewed, { session, writer, until: claimEnd() }), { sync: false })
  }

  /**
   * What does not fit on the disk, or whose row does not, must not stay there: nobody else could push until somebody cleaned
   * up by hand. Where even this fails, the reason why is what the client is told already. Bytes that may have been moved into
   * their place are none of the session's.
   */
  async function cutBack(row: ClaimedSession): Promise<void> {
    if (row.committing_digest !== null) {
      const mayBeThere = await store.stat(storedDigest(row.committing_digest)).then(
        (blob) => blob !== undefined,
        () => true,
      )
      if (mayBeThere) return
      row.committing_digest = null
    }
    // Where the claim has been given back all the same, the bytes may be somebody else's by now.
    if (!(await save(row, row.offset, row.writer).catch(() => true))) return
    await store.append(row.store_session, row.offset, noBytes()).catch(() => undefined)
  }

  /**
   * On a full disk even this is refused. The request is judged by its work alone then, and whoever comes back when there is
   * room must not find a claim that nobody needs: it is tried again until the claim would have died anyway.
   */
  async function release(row: ClaimedSession): Promise<void> {
    try {
      await save(row, row.offset, null)
    } catch (error) {
      if (!isFault(error, 'unavailable')) throw error
      void releaseLater(row)
    }
  }

  async function releaseLater(row: ClaimedSession): Promise<void> {
    const deadline = performance.now() + claimMs
    while (performance.now() < deadline) {
      await pause(releaseRetryMs, undefined, { ref: false })
      try {
        await save(row, row.offset, null)
        return
      } catch (error) {
        if (!isFault(error, 'unavailable')) return // the database is closed
      }
    }
  }

  /** False where the claim has passed to another writer, or the session is over. */
  function save(row: ClaimedSession, offset: number, nextWriter: string | null): Promise<boolean> {
    return db.write(
      async (tables) => {
        const { rows } = await run(tables, recorded, {
          session: row.id,
          writer: row.writer,
          offset,
          committing: row.committing_digest,
          nextWriter,
          until: nextWriter === null ? null : claimEnd(),
          now: timestamp(clock),
        })
        return rows.length > 0
      },
      { sync: false },
    )
  }

  return {
    async start(place) {
      requireRegistry(await db.select(registryNamed, { registry: place.registry }), place)
      return names.make(place)
    },

    async offsetOf(place, session) {
      const { row } = await find(place, session)
      return row?.offset ?? 0
    },

    async withClaim(place, session, digest, work) {
      return asWriter(await claim(place, session, digest), work)
    },

    async record(row, offset, next) {
      const isOurs = await save(row, offset, next === 'release' ? null : row.writer)
      if (!isOurs) throw new Fault('uploadBusy', { session: row.id })
      row.offset = offset
    },

    async rememberEnd(tables, place, row) {
      const madeIn = row.madeIn ?? names.read(row.id, place)?.madeIn ?? 0
      if (madeIn >= oldestRemembered()) await run(tables, ended, { session: row.id, madeIn })
    },

    async forgetEnds() {
      const before = oldestRemembered()
      if (before === forgottenBefore) return
      forgottenBefore = before
      await db.write((tables) => run(tables, forgotten, { before }), { sync: false })
    },
  }
}

function requireRegistry(registries: readonly unknown[], { repository }: Place): void {
  if (registries.length === 0) throw new Fault('repositoryUnknown', { repository })
}

export async function* noBytes(): AsyncGenerator<Uint8Array, void, undefined> {}
