/** Finding a manifest: one prepared statement, and its bytes from memory where they were read before. */
import { algorithmOf, type Digest, digestOf, ManifestError, parseManifest } from '@berth/oci'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery } from '../../backends/db/fixed-query.ts'
import { BoundedBytes } from '../../base/bounded-bytes.ts'
import { Fault } from '../../base/fault.ts'
import { isNamed } from './manifest-rows.ts'
import { type Place, repositoryAt } from './place.ts'
import { storedDigest } from './stored-digest.ts'

export type Reference = { readonly digest: Digest } | { readonly tag: string }

export interface Manifest {
  readonly digest: Digest
  readonly mediaType: string
  /** Exactly what was pushed. */
  readonly bytes: Uint8Array
}

/** So much of manifests' bytes is kept in a process, and none that is larger than this. */
const keptBytes = 8 * 1024 * 1024
const largestKept = 256 * 1024

const byTag = fixedQuery<Place & { readonly tag: string }>()((db, param) =>
  repositoryAt(db, { registry: param('registry'), repository: param('repository') })
    .innerJoin('tags', 'tags.repository_id', 'repositories.id')
    .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .where('tags.name', '=', param('tag'))
    .select(['manifests.id', 'manifests.digest', 'manifests.media_type']),
)

const byDigest = fixedQuery<Place & { readonly digest: string }>()((db, param) =>
  repositoryAt(db, { registry: param('registry'), repository: param('repository') })
    .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
    .where('manifests.digest', '=', param('digest'))
    .select(['manifests.id', 'manifests.digest', 'manifests.media_type']),
)

const bytesById = fixedQuery<{ readonly id: number }>()((db, param) =>
  db.selectFrom('manifests').where('id', '=', param('id')).select('bytes'),
)

interface FoundManifest {
  readonly id: number
  readonly digest: string
  readonly media_type: string
}

export interface ManifestLookup {
  /** Faults: `manifestUnknown`. */
  getManifest(place: Place, reference: Reference): Promise<Manifest>
}

/**
 * Only bytes are remembered, by the row's key, which is given out once and whose bytes never change. What a tag names and
 * whether the manifest is still there is asked each time, so a delete on another process is seen at once.
 */
export function createManifestLookup(db: Database): ManifestLookup {
  const kept = new BoundedBytes<number>(keptBytes)

  /** Undefined where the row has gone, or holds other bytes than its digest says: those are never handed out. */
  async function bytesOf({ id, digest, media_type }: FoundManifest): Promise<Uint8Array | undefined> {
    const known = kept.get(id)
    if (known !== undefined) return known
    const [row] = await db.select(bytesById, { id })
    if (row === undefined || !isRight(row.bytes, media_type, storedDigest(digest))) return undefined
    if (row.bytes.length <= largestKept) kept.set(id, row.bytes)
    return row.bytes
  }

  return {
    async getManifest({ registry, repository }, reference) {
      const [row] = await ('digest' in reference
        ? db.select(byDigest, { registry, repository, digest: reference.digest })
        : db.select(byTag, { registry, repository, tag: reference.tag }))
      // Deleted between the two questions: then it is gone.
      const bytes = row && (await bytesOf(row))
      if (row === undefined || bytes === undefined) throw manifestUnknown(repository, reference)
      return { digest: storedDigest(row.digest), mediaType: row.media_type, bytes }
    },
  }
}

/** Most manifests are named by their bytes; only where they are not need they be parsed. */
function isRight(bytes: Uint8Array, mediaType: string, digest: Digest): boolean {
  if (digestOf(algorithmOf(digest), bytes) === digest) return true
  try {
    return isNamed(parseManifest(bytes, mediaType), bytes, digest)
  } catch (error) {
    if (error instanceof ManifestError) return false
    throw error
  }
}

export function manifestUnknown(repository: string, reference: Reference): Fault<'manifestUnknown'> {
  return new Fault('manifestUnknown', {
    repository,
    reference: 'digest' in reference ? reference.digest : reference.tag,
  })
}
