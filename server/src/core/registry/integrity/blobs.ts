/** The rows of `blobs`: against the bytes in the store, and against the links. */
import { type Digest, parseDigest } from '@berth/oci'
import type { Database } from '../../../backends/db/database.ts'
import { inParallel } from '../../../base/in-parallel.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { isLinked } from '../links.ts'
import { type BlobRow, type BlobState, damageOf, linkedFrom, lookAtBlob, markDamaged } from './damage.ts'
import { examineBlob } from './examine-blob.ts'
import { type Check, type Parts, pages, type Repair, type Trouble, unlessRefused } from './finding.ts'

const pageRows = 100
/** How many blobs are read at once, and how many are only asked for. */
const readAtOnce = 4
const askedAtOnce = 16

type PageRow = Omit<BlobRow, 'digest'> & { readonly digest: string; readonly linked: unknown }

export function blobRows(parts: Parts): Check<string> {
  const { db, store, quick } = parts

  async function* scan() {
    for await (const rows of pages((last?: PageRow) => readPage(db, last?.digest ?? ''))) {
      let bytes = 0
      const looks = await inParallel(rows, quick ? askedAtOnce : readAtOnce, async (row) => {
        const look = await (quick ? firstGlance(row) : firstLook(row))
        bytes += look.read
        return look.suspect || isQueued(row) === Boolean(row.linked)
      })
      yield {
        looked: rows.length,
        bytes,
        suspects: rows.filter((_, index) => looks[index]).map(({ digest }) => digest),
      }
    }
  }

  async function firstLook(row: PageRow): Promise<{ suspect: boolean; read: number }> {
    const digest = parseDigest(row.digest)
    if (digest === undefined) return { suspect: true, read: 0 }
    const bytes = await unlessRefused(examineBlob(store, digest))
    if (bytes instanceof Error) return { suspect: true, read: 0 }
    const suspect = findTroubleOf({ row: { ...row, digest }, bytes }) !== undefined
    return { suspect, read: bytes.kind === 'read' ? bytes.size : 0 }
  }

  async function firstGlance(row: PageRow): Promise<{ suspect: boolean; read: number }> {
    const digest = parseDigest(row.digest)
    const found = digest && (await unlessRefused(store.stat(digest)))
    if (found instanceof Error) return { suspect: true, read: 0 }
    const isExpectedToBeThere = row.damaged_at === null && row.unlinked_since === null
    const suspect = digest === undefined || (found === undefined ? isExpectedToBeThere : found.size !== row.size)
    return { suspect, read: 0 }
  }

  async function look(text: string): Promise<Trouble[]> {
    const digest = parseDigest(text)
    if (digest === undefined) return malformed(db, text)
    const troubles = await Promise.all([lookAtBytes(parts, digest), lookAtQueue(parts, digest)])
    return troubles.filter((trouble) => trouble !== undefined)
  }

  return { things: 'blobs', scan, look }
}

const isQueued = (row: { readonly unlinked_since: string | null }) => row.unlinked_since !== null

const readPage = (db: Database, after: string): Promise<PageRow[]> =>
  db.read((tables) =>
    tables
      .selectFrom('blobs')
      .where('digest', '>', after)
      .orderBy('digest')
      .limit(pageRows)
      .select(['digest', 'size', 'unlinked_since', 'damaged_at', 'scrubbed_at'])
      .select((row) => isLinked(row).as('linked'))
      .execute(),
  )

type BytesTrouble = 'damaged blob' | 'missing blob' | 'unreadable blob' | 'withheld blob' | 'wrong blob size'

function findTroubleOf(state: BlobState): BytesTrouble | undefined {
  const { row, bytes } = state
  const damage = damageOf(state)
  if (damage !== undefined) return `${damage} blob`
  if (bytes.kind !== 'read' || bytes.actual !== row.digest) return undefined
  if (row.damaged_at !== null) return 'withheld blob'
  return bytes.size === row.size ? undefined : 'wrong blob size'
}

async function lookAtBytes({ db, store, clock }: Parts, digest: Digest): Promise<Trouble | undefined> {
  const state = await unlessRefused(lookAtBlob(db, store, digest))
  if (state === undefined) return undefined
  const places = await linkedFrom(db, digest)
  // A repair would hide what a person has to put right.
  if (state instanceof Error) {
    return { kind: 'unreadable blob', name: digest, ...places, detail: state.message, bytes: 0 }
  }
  const { row, bytes } = state
  const kind = findTroubleOf(state)
  if (kind === undefined) return undefined
  const repair =
    kind === 'withheld blob' || kind === 'wrong blob size'
      ? () => believeBytes(bytes.kind === 'read' ? bytes.size : row.size)
      : async (): Promise<Repair> =>
          (await markDamaged(db, clock, row)) ? { done: 'it counts as not there until it is pushed again' } : 'changed'
  return { kind, name: digest, ...places, detail: detailOf(state), bytes: row.size, repair }

  async function believeBytes(size: number): Promise<Repair> {
    const now = timestamp(clock)
    const { numUpdatedRows } = await db.write((tables) =>
      tables
        .updateTable('blobs')
        .set({ size, damaged_at: null, scrubbed_at: now })
        .where('digest', '=', digest)
        .where('scrubbed_at', '=', row.scrubbed_at)
        .where('damaged_at', row.damaged_at === null ? 'is' : '=', row.damaged_at)
        .executeTakeFirst(),
    )
    if (numUpdatedRows === 0n) return 'changed'
    return { done: kind === 'withheld blob' ? 'it is served again' : `the database states ${size} bytes` }
  }
}

function detailOf({ row, bytes }: BlobState): string {
  if (bytes.kind === 'missing') return ''
  if (bytes.kind === 'unreadable') return bytes.reason
  if (bytes.actual !== row.digest) {
    const length = bytes.size === row.size ? '' : `, ${bytes.size} of ${row.size} bytes`
    return `the bytes are ${bytes.actual}${length}`
  }
  if (row.damaged_at !== null) return `marked ${row.damaged_at}`
  return `${row.size} bytes are stated, and ${bytes.size} are there`
}

/** Whether links and `unlinked_since` say the same. */
async function lookAtQueue({ db, clock }: Parts, digest: Digest): Promise<Trouble | undefined> {
  const row = await db.read((tables) =>
    tables
      .selectFrom('blobs')
      .where('digest', '=', digest)
      .select(['size', 'unlinked_since'])
      .select((blob) => isLinked(blob).as('linked'))
      .executeTakeFirst(),
  )
  if (row === undefined || isQueued(row) !== Boolean(row.linked)) return undefined
  const places = await linkedFrom(db, digest)
  const queued = isQueued(row)
  return {
    kind: queued ? 'queued blob' : 'unqueued blob',
    name: digest,
    ...places,
    detail: queued ? `queued since ${row.unlinked_since}` : '',
    bytes: row.size,
    async repair() {
      const { numUpdatedRows } = await db.write((tables) =>
        tables
          .updateTable('blobs')
          .set({ unlinked_since: queued ? null : timestamp(clock) })
          .where('digest', '=', digest)
          .where('unlinked_since', queued ? 'is not' : 'is', null)
          .where((blob) => (queued ? isLinked(blob) : blob.not(isLinked(blob))))
          .executeTakeFirst(),
      )
      if (numUpdatedRows === 0n) return 'changed'
      return { done: queued ? 'it is not up for collection any more' : 'it is up for collection' }
    },
  }
}

async function malformed(db: Database, digest: string): Promise<Trouble[]> {
  const row = await db.read((tables) =>
    tables.selectFrom('blobs').where('digest', '=', digest).select('size').executeTakeFirst(),
  )
  if (row === undefined) return []
  return [{ kind: 'malformed digest', name: digest, ...(await linkedFrom(db, digest)), detail: '', bytes: row.size }]
}
