/** What must be in a repository before a manifest that names it. */
import { type Descriptor, type Digest, isForeignLayerType, type ManifestDocument } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { Tables } from '../../backends/db/tables/index.ts'
import { batches } from '../../base/batches.ts'
import { Fault } from '../../base/fault.ts'
import type { Place } from './place.ts'
import { storedDigest } from './stored-digest.ts'

/**
 * Config, layers and children must be in the same repository. Not needed: the subject (either order is allowed) and
 * foreign layers that say where to get them. A registry that accepts sparse manifests takes one of whose layers or
 * children some are missing, but not all: an image without any content is a mistake, not a sparse image.
 */
export async function requireContent(
  tables: Kysely<Tables>,
  place: Place,
  repositoryId: number,
  document: ManifestDocument,
): Promise<void> {
  const isElsewhere = (layer: Descriptor) => isForeignLayerType(layer.mediaType) && (layer.urls?.length ?? 0) > 0
  const config = document.config === undefined ? [] : [document.config.digest]
  const layers = document.layers.filter((layer) => !isElsewhere(layer)).map((layer) => layer.digest)
  const children = document.children.map((child) => child.digest)
  const missingConfig = await missingOf(config, (batch) => blobsIn(tables, repositoryId, batch))
  const missingLayers = await missingOf(layers, (batch) => blobsIn(tables, repositoryId, batch))
  const missingChildren = await missingOf(children, (batch) => manifestsIn(tables, repositoryId, batch))
  const missing = [...missingConfig, ...missingLayers, ...missingChildren]
  if (missing.length === 0) return
  const content = new Set([...layers, ...children]).size
  const someContent = missingLayers.length + missingChildren.length < content
  if (missingConfig.length === 0 && someContent && (await acceptsSparse(tables, place))) return
  throw new Fault('manifestBlobsUnknown', { digests: missing })
}

async function missingOf(
  digests: readonly Digest[],
  present: (batch: readonly Digest[]) => Promise<{ digest: string }[]>,
): Promise<Digest[]> {
  const missing = new Set(digests)
  for (const batch of batches([...missing])) {
    for (const { digest } of await present(batch)) missing.delete(storedDigest(digest))
  }
  return [...missing]
}

/** Which of the digests the repository has as blobs; a damaged one must be pushed again. */
const blobsIn = (tables: Kysely<Tables>, repositoryId: number, digests: readonly Digest[]) =>
  tables
    .selectFrom('repository_blobs')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .where('repository_blobs.repository_id', '=', repositoryId)
    .where('repository_blobs.digest', 'in', digests)
    .where('blobs.damaged_at', 'is', null)
    .select('repository_blobs.digest')
    .execute()

const manifestsIn = (tables: Kysely<Tables>, repositoryId: number, digests: readonly Digest[]) =>
  tables
    .selectFrom('manifests')
    .where('repository_id', '=', repositoryId)
    .where('digest', 'in', digests)
    .select('digest')
    .execute()

async function acceptsSparse(tables: Kysely<Tables>, place: Place): Promise<boolean> {
  const row = await tables
    .selectFrom('registries')
    .where('name', '=', place.registry)
    .select('sparse_manifests_enabled')
    .executeTakeFirst()
  return row?.sparse_manifests_enabled === 1
}
