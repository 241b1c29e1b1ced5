/** The blobs that a database names: copied to a store, and the others removed from it. */
import type { Digest } from '@berth/oci'
import type { BlobStore } from '../backends/blobs/blob-store.ts'
import type { Database } from '../backends/db/database.ts'
import { batches } from '../base/batches.ts'
import { inParallel } from '../base/in-parallel.ts'
import { type CopyOptions, copyBlob, type NamedBlob, type Outcome } from './copy-blobs.ts'

export interface BlobCounts {
  /** All that the database names. */
  readonly blobs: number
  readonly bytes: number
  /** Of them, so far. */
  readonly copied: number
  readonly copiedBytes: number
  readonly seenBytes: number
}

export interface Trouble {
  readonly digest: Digest
  readonly trouble: Exclude<Outcome, 'kept' | 'copied'>
}

export interface LinkedBlobsOptions extends CopyOptions {
  readonly onProgress: (counts: BlobCounts) => void
}

/** Each waits for the disk most of the time. */
const atOnce = 4
const pageSize = 1_000

/** from: absent when the blobs are kept elsewhere; then they are counted only. */
export async function copyLinkedBlobs(
  db: Database,
  from: BlobStore | undefined,
  to: BlobStore,
  { verify, onProgress }: LinkedBlobsOptions,
): Promise<{ readonly counts: BlobCounts; readonly troubles: readonly Trouble[] }> {
  const { blobs, bytes } = await sumOf(db)
  const troubles: Trouble[] = []
  let [copied, copiedBytes, seenBytes] = [0, 0, 0]
  const healed: Digest[] = []
  const counts = () => ({ blobs, bytes, copied, copiedBytes, seenBytes })
  if (from === undefined) return { counts: counts(), troubles }
  for await (const page of pagesOf(db)) {
    await inParallel(page, atOnce, async (blob) => {
      const outcome = await copyBlob(blob, from, to, { verify: verify || blob.damaged })
      seenBytes += blob.size
      if (outcome === 'copied') [copied, copiedBytes] = [copied + 1, copiedBytes + blob.size]
      if (outcome !== 'copied' && outcome !== 'kept') troubles.push({ digest: blob.digest, trouble: outcome })
      else if (blob.damaged) healed.push(blob.digest)
      onProgress(counts())
    })
  }
  // Damaged where they came from, and whole here: from an earlier copy.
  for (const digests of batches(healed)) {
    await db.write((tables) =>
      tables.updateTable('blobs').set({ damaged_at: null }).where('digest', 'in', digests).execute(),
    )
  }
  return { counts: counts(), troubles }
}

/** Also removes what an earlier copy that was cut short has left. Returns how many blobs went. */
export async function removeUnlinkedBlobs(db: Database, store: BlobStore): Promise<number> {
  for await (const { session } of store.listSessions()) await store.abort(session)
  let removed = 0
  for (const digests of batches(await Array.fromAsync(store.list()))) {
    const linked = await db.read((tables) => linkedIn(tables).select('digest').where('digest', 'in', digests).execute())
    const named = new Set(linked.map(({ digest }) => digest))
    for (const digest of digests.filter((one) => !named.has(one))) {
      if (await store.delete(digest)) removed++
    }
    await store.freed?.() // a file keeps its descriptor until then
  }
  return removed
}

type Handle = Parameters<Parameters<Database['read']>[0]>[0]

/** Of those that no repository links, the bytes may be gone already. */
const linkedIn = (tables: Handle) => tables.selectFrom('blobs').where('unlinked_since', 'is', null)

async function sumOf(db: Database): Promise<{ blobs: number; bytes: number }> {
  const row = await db.read((tables) =>
    linkedIn(tables)
      .select((of) => [of.fn.countAll<number>().as('blobs'), of.fn.sum<number | null>('size').as('bytes')])
      .executeTakeFirstOrThrow(),
  )
  return { blobs: Number(row.blobs), bytes: Number(row.bytes ?? 0) }
}

interface LinkedBlob extends NamedBlob {
  /** Found to be so by the server. */
  readonly damaged: boolean
}

async function* pagesOf(db: Database): AsyncGenerator<readonly LinkedBlob[], void, undefined> {
  for (let after = ''; ; ) {
    const rows = await db.read((tables) =>
      linkedIn(tables)
        .select(['digest', 'size', 'damaged_at'])
        .where('digest', '>', after)
        .orderBy('digest')
        .limit(pageSize)
        .execute(),
    )
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.digest
    yield rows.map(({ digest, size, damaged_at }) => ({ digest: digest as Digest, size, damaged: damaged_at !== null }))
  }
}
