/** What the store has and the database does not know, and the other way round. */
import { type Digest, parseDigest } from '@berth/oci'
import type { BlobStore, StoredSession } from '../../../backends/blobs/blob-store.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { dropUpload, withoutRow } from '../dropped-uploads.ts'
import { examineBlob } from './examine-blob.ts'
import { type Check, type Parts, pages, type Repair, type Scanned, type Trouble } from './finding.ts'

/** How many names one question to the database holds. */
const together = 200

/**
 * Bytes of which no row tells, and that no push is about to enter: it says so before it stores them. Whether they may go is
 * for the collection to decide, which excludes pushes; so they are given a row without links, and with it the whole grace.
 */
export function storedBytes({ db, store, clock }: Parts): Check<Digest> {
  async function* scan(): AsyncGenerator<Scanned<Digest>> {
    let some: Digest[] = []
    for await (const digest of store.list()) {
      some.push(digest)
      if (some.length < together) continue
      yield { looked: some.length, suspects: await unknownOf(some) }
      some = []
    }
    yield { looked: some.length, suspects: await unknownOf(some) }
  }

  async function unknownOf(digests: readonly Digest[]): Promise<Digest[]> {
    if (digests.length === 0) return []
    const rows = await db.read((tables) =>
      tables
        .selectFrom('blobs')
        .where('digest', 'in', digests)
        .select('digest')
        .unionAll(
          tables
            .selectFrom('upload_sessions')
            .where('committing_digest', 'in', digests)
            .select(({ ref }) => ref('committing_digest').$notNull().as('digest')),
        )
        .execute(),
    )
    const known = new Set(rows.map(({ digest }) => digest))
    return digests.filter((digest) => !known.has(digest))
  }

  async function look(digest: Digest): Promise<Trouble[]> {
    // Between two looks at the rows: a collection takes the row only after the bytes, a push enters it after them.
    if ((await unknownOf([digest])).length === 0) return []
    const found = await store.stat(digest)
    if (found === undefined || (await unknownOf([digest])).length === 0) return []
    return [
      {
        kind: 'orphaned bytes',
        name: digest,
        where: [],
        elsewhere: 0,
        detail: '',
        bytes: found.size,
        repair: () => enter(digest),
      },
    ]
  }

  async function enter(digest: Digest): Promise<Repair> {
    const bytes = await examineBlob(store, digest)
    if (bytes.kind === 'missing') return 'changed'
    const size = bytes.kind === 'read' ? bytes.size : 0
    const isRight = bytes.kind === 'read' && bytes.actual === digest
    const now = timestamp(clock)
    const entered = await db.write((tables) =>
      tables
        .insertInto('blobs')
        .values({
          digest,
          size,
          created_at: now,
          unlinked_since: now,
          damaged_at: isRight ? null : now,
          scrubbed_at: now,
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('digest')
        .executeTakeFirst(),
    )
    return entered === undefined ? 'changed' : { done: 'they are up for collection' }
  }

  return { things: 'stored blobs', scan, look }
}

/** A session of the store or the database, with a look at the store that all of its batch share. */
interface SessionSuspect<Session> {
  readonly session: Session
  /** Which of the batch the store has, asked at the second look. */
  readonly storedNow: () => Promise<ReadonlySet<string>>
}

function suspectsOf<Session>(
  store: BlobStore,
  sessions: readonly Session[],
  nameOf: (session: Session) => string,
): SessionSuspect<Session>[] {
  let asked: Promise<ReadonlySet<string>> | undefined
  const storedNow = () => {
    asked ??= storedOf(store, sessions.map(nameOf))
    return asked
  }
  return sessions.map((session) => ({ session, storedNow }))
}

/** Those of the names that the store has sessions under. */
async function storedOf(store: BlobStore, names: readonly string[]): Promise<Set<string>> {
  const wanted = new Set(names)
  const found = new Set<string>()
  for await (const { session } of store.listSessions()) if (wanted.has(session)) found.add(session)
  return found
}

/** Of the store: what a collection removes too, where it is not switched off. */
export function storedUploads({ db, store, clock, uploadExpiryMs }: Parts): Check<SessionSuspect<StoredSession>> {
  async function* scan() {
    const limit = clock.now() - uploadExpiryMs
    let [looked, old]: [number, StoredSession[]] = [0, []]
    for await (const stored of store.listSessions()) {
      looked += 1
      if (stored.updatedAt < limit) old.push(stored)
      if (old.length < together) continue
      yield { looked, suspects: suspectsOf(store, await withoutRow(db, old), ({ session }) => session) }
      ;[looked, old] = [0, []]
    }
    yield { looked, suspects: suspectsOf(store, await withoutRow(db, old), ({ session }) => session) }
  }

  async function look({ session, storedNow }: SessionSuspect<StoredSession>): Promise<Trouble[]> {
    if ((await withoutRow(db, [session])).length === 0 || !(await storedNow()).has(session.session)) return []
    return [
      {
        kind: 'orphaned upload',
        name: session.session,
        where: [],
        elsewhere: 0,
        detail: `its last bytes arrived ${new Date(session.updatedAt).toISOString()}`,
        bytes: 0,
        async repair() {
          // A row comes right after the store's session or never.
          await store.abort(session.session)
          return { done: 'it is removed' }
        },
      },
    ]
  }

  return { things: 'stored uploads', scan, look }
}

interface UploadKey {
  readonly id: string
  readonly updated_at: string
  readonly store_session: string
}

/** Of the database. One that was being closed when its process died needs no bytes any more once the blob is there. */
export function knownUploads({ db, store, clock, uploadExpiryMs }: Parts): Check<SessionSuspect<UploadKey>> {
  const pageRows = 5_000 // each page is one pass through the store's sessions

  async function* scan() {
    const cutoff = new Date(clock.now() - uploadExpiryMs).toISOString()
    for await (const rows of pages((last?: UploadKey) => readOld(cutoff, last))) {
      const names = rows.map((row) => row.store_session)
      const stored = await storedOf(store, names)
      const lost = rows.filter((row) => !stored.has(row.store_session))
      yield { looked: rows.length, suspects: suspectsOf(store, lost, (row) => row.store_session) }
    }
  }

  const readOld = (cutoff: string, last: Pick<UploadKey, 'id' | 'updated_at'> = { updated_at: '', id: '' }) =>
    db.read((tables) =>
      tables
        .selectFrom('upload_sessions')
        .where('updated_at', '<', cutoff)
        .where(({ eb, refTuple, tuple }) => eb(refTuple('updated_at', 'id'), '>', tuple(last.updated_at, last.id)))
        .orderBy('updated_at')
        .orderBy('id')
        .limit(pageRows)
        .select(['id', 'updated_at', 'store_session'])
        .execute(),
    )

  async function look({ session: { id, updated_at }, storedNow }: SessionSuspect<UploadKey>): Promise<Trouble[]> {
    const row = await db.read((tables) =>
      tables
        .selectFrom('upload_sessions')
        .leftJoin('registries', 'registries.id', 'upload_sessions.registry_id')
        .where('upload_sessions.id', '=', id)
        .where('updated_at', '=', updated_at)
        .select(['upload_sessions.id', 'store_session', 'committing_digest', 'repository', 'offset'])
        .select('registries.name as registry')
        .executeTakeFirst(),
    )
    if (row === undefined || (await storedNow()).has(row.store_session)) return []
    const digest = row.committing_digest === null ? undefined : parseDigest(row.committing_digest)
    if (digest !== undefined && (await store.stat(digest)) !== undefined) return []
    return [
      {
        kind: 'lost upload',
        name: id,
        where: [`${row.registry}/${row.repository}`],
        elsewhere: 0,
        detail: `its last sign of life was ${updated_at}`,
        bytes: row.offset,
        async repair() {
          const now = timestamp(clock)
          const dropped = await dropUpload(db, store, clock, row, (sessions) =>
            sessions
              .where('updated_at', '=', updated_at)
              .where((session) => session.or([session('writer', 'is', null), session('writer_until', '<', now)])),
          )
          return dropped ? { done: 'it is removed' } : 'changed'
        },
      },
    ]
  }

  return { things: 'uploads', scan, look }
}
