/** Whether the store is the one that the database is about, and there at all: a folder that is not mounted lacks every blob. */
import type { Digest } from '@berth/oci'
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import { storedDigest } from '../stored-digest.ts'
import { readableBlobs } from './damage.ts'

const mostWitnesses = 20

/** True where one of the blobs that were found right last is there, and where there are none. except: what is missing already. */
export async function isStoreThere(db: Database, store: BlobStore, except?: Digest): Promise<boolean> {
  return (await findWitness(db, store, except)) !== 'missing'
}

/** Looks for some of the blobs that were found right last: whether one of them is there; `none` where there are none to look for. */
export async function findWitness(
  db: Database,
  store: BlobStore,
  except?: Digest,
): Promise<'found' | 'missing' | 'none'> {
  const rows = await db.read((tables) =>
    readableBlobs(tables)
      .orderBy('scrubbed_at', 'desc')
      .orderBy('digest', 'desc')
      .limit(mostWitnesses + 1)
      .select(['digest', 'size'])
      .execute(),
  )
  const witnesses = rows.filter(({ digest }) => digest !== except).slice(0, mostWitnesses)
  for (const { digest, size } of witnesses) if ((await store.stat(storedDigest(digest)))?.size === size) return 'found'
  return witnesses.length === 0 ? 'none' : 'missing'
}
