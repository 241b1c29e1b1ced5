/** What an image runs on, as its config says. */
import { type ManifestDocument, parseImageConfig } from '@berth/oci'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { isFault } from '../../base/fault.ts'
import { readBlob } from './blob-lookup.ts'
import { type Place, repositoryAt } from './place.ts'

/** Configs above this are not images' and are not searched for a platform. */
const largestConfigBytes = 4 * 1024 * 1024

const imageConfigTypes = new Set([
  'application/vnd.docker.container.image.v1+json',
  'application/vnd.oci.image.config.v1+json',
])

/** Reads the config of an image, before the transaction that stores its manifest; nothing for other artifacts. */
export async function platformOf(
  db: Database,
  store: BlobStore,
  place: Place,
  { config }: ManifestDocument,
): Promise<{ architecture?: string; os?: string }> {
  if (config === undefined || config.size > largestConfigBytes || !imageConfigTypes.has(config.mediaType)) return {}
  const linked = await db.read((tables) =>
    repositoryAt(tables, place)
      .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
      .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
      .where('repository_blobs.digest', '=', config.digest)
      .where('blobs.damaged_at', 'is', null)
      .select('blobs.size')
      .executeTakeFirst(),
  )
  if (linked === undefined || linked.size > largestConfigBytes) return {}
  const chunks: Buffer[] = []
  try {
    for await (const chunk of await readBlob(store, config.digest, linked.size)) chunks.push(Buffer.from(chunk))
  } catch (error) {
    // Collected a moment ago: the transaction will miss it too, and say so.
    if (isFault(error, 'blobUnknown')) return {}
    throw error
  }
  return parseImageConfig(Buffer.concat(chunks))
}
