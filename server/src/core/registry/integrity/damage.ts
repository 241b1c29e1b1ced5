/** Whether a blob is what its row says it is, and the mark on one that is not. */
import type { Digest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import type { Clock } from '../../../base/clock.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { examineBlob, type ReadingOptions, type StoredBytes } from './examine-blob.ts'

export interface BlobRow {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly unlinked_since: string | null
  readonly damaged_at: string | null
  /** Each push moves it, so it also tells whether the bytes may be others by now. */
  readonly scrubbed_at: string
}

export interface BlobState {
  readonly row: BlobRow
  readonly bytes: StoredBytes
}

/** Nobody can read the others; a push, which alone would change that, proves the bytes. */
export const readableBlobs = (tables: Kysely<Tables>) =>
  tables.selectFrom('blobs').where('damaged_at', 'is', null).where('unlinked_since', 'is', null)

const mostTries = 5

/**
 * A blob's row and bytes as they were at one moment: the row was the same before and after the bytes were read. Undefined
 * where there is no row, or it does not stand still.
 */
export async function lookAtBlob(
  db: Database,
  store: BlobStore,
  digest: Digest,
  reading: ReadingOptions = {},
): Promise<BlobState | undefined> {
  let before = await findBlobRow(db, digest)
  for (let tries = 0; before !== undefined && tries < mostTries; tries++) {
    const bytes = await examineBlob(store, digest, reading)
    const after = await findBlobRow(db, digest)
    if (after !== undefined && isSame(before, after)) return { row: before, bytes }
    before = after
  }
  return undefined
}

async function findBlobRow(db: Database, digest: Digest): Promise<BlobRow | undefined> {
  const row = await db.read((tables) =>
    tables
      .selectFrom('blobs')
      .where('digest', '=', digest)
      .select(['size', 'unlinked_since', 'damaged_at', 'scrubbed_at'])
      .executeTakeFirst(),
  )
  return row && { digest, ...row }
}

const isSame = (one: BlobRow, other: BlobRow) =>
  one.size === other.size &&
  one.unlinked_since === other.unlinked_since &&
  one.damaged_at === other.damaged_at &&
  one.scrubbed_at === other.scrubbed_at

export type Damage = 'missing' | 'damaged' | 'unreadable'

/**
 * What is wrong with the bytes; undefined where nothing is, or where it is known already. A blob without links may have lost
 * its bytes to a collection that was cut short.
 */
export function damageOf({ row, bytes }: BlobState): Damage | undefined {
  if (row.damaged_at !== null) return undefined
  if (bytes.kind === 'missing') return row.unlinked_since === null ? 'missing' : undefined
  if (bytes.kind === 'unreadable') return 'unreadable'
  return bytes.actual === row.digest ? undefined : 'damaged'
}

/**
 * From now on the blob counts as not there, until somebody pushes it. The bytes stay where they are: a push replaces them,
 * a collection takes them, and should they be right after all (a disk that was not mounted, a copy from a backup),
 * `berth fsck --repair` serves them again. False when the row has changed since it was looked at: then it may be right by now.
 */
export async function markDamaged(
  db: Database,
  clock: Clock,
  seen: Pick<BlobRow, 'digest' | 'scrubbed_at'>,
): Promise<boolean> {
  const { numUpdatedRows } = await db.write(
    (tables) =>
      tables
        .updateTable('blobs')
        .set({ damaged_at: timestamp(clock) })
        .where('digest', '=', seen.digest)
        .where('scrubbed_at', '=', seen.scrubbed_at)
        .where('damaged_at', 'is', null)
        .executeTakeFirst(),
    { move: 'tidies' },
  )
  return numUpdatedRows > 0n
}

/** The first few repositories, as `<registry>/<repository>`, that link a blob, and how many more do. */
export async function linkedFrom(
  db: Database,
  digest: string,
  most = 5,
): Promise<{ where: readonly string[]; elsewhere: number }> {
  return db.read(async (tables) => {
    const links = tables.selectFrom('repository_blobs').where('digest', '=', digest)
    const rows = await links
      .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
      .innerJoin('registries', 'registries.id', 'repositories.registry_id')
      .orderBy('repository_blobs.repository_id')
      .limit(most)
      .select(['registries.name as registry', 'repositories.name as repository'])
      .execute()
    const { count } = await links.select(({ fn }) => fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
    return {
      where: rows.map(({ registry, repository }) => `${registry}/${repository}`),
      elsewhere: Math.max(0, count - rows.length),
    }
  })
}
