/** Manifests: read as they were pushed, written in one transaction with everything that must be true about them. */
import {
  algorithmOf,
  type Digest,
  digestOf,
  digestOfManifest,
  type ManifestDocument,
  ManifestError,
  parseImageConfig,
  parseManifest,
  referrerArtifactType,
} from '@berth/oci'
import type { Kysely } from 'kysely'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { batches } from '../../base/batches.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { timestamp } from '../../base/timestamp.ts'
import { readBlob, storedDigest } from './blobs.ts'
import { requireContent } from './manifest-content.ts'
import { ensureRepository, findRepository, type Place, repositoryAt } from './place.ts'

export type Reference = { readonly digest: Digest } | { readonly tag: string }

export interface Manifest {
  readonly digest: Digest
  readonly mediaType: string
  /** Exactly what was pushed. */
  readonly bytes: Uint8Array
}

export interface PushedManifest {
  readonly digest: Digest
  readonly subject: Digest | undefined
}

export interface PutOptions {
  /** Tags besides the one that the reference may be. */
  readonly tags?: readonly string[]
  /** Asked inside the transaction what the reference names now; false refuses the push. */
  readonly precondition?: (current: Digest | undefined) => boolean
}

export interface Manifests {
  /** Faults: `manifestUnknown`. */
  getManifest(place: Place, reference: Reference): Promise<Manifest>
  /**
   * Stores a manifest and points tags at it. Repeating it changes nothing but the tags' times; a tag that was elsewhere
   * moves.
   * Faults: `manifestInvalid`, `digestMismatch`, `manifestBlobsUnknown`, `preconditionFailed`, `repositoryUnknown` (no
   * such registry).
   * Spec: OCI distribution-spec 1.1, "Pushing manifests"; reference digests and tag parameters as in 1.1.1.
   */
  putManifest(
    place: Place,
    reference: Reference,
    contentType: string,
    bytes: Uint8Array,
    options?: PutOptions,
  ): Promise<PushedManifest>
  /**
   * By tag: the tag goes, the manifest stays. By digest: the manifest goes with all its tags and, one after another, the
   * manifests whose subject it was. Children of an index stay.
   * Faults: `manifestUnknown`, `repositoryUnknown`.
   */
  deleteManifest(place: Place, reference: Reference): Promise<void>
}

/** Configs above this are not images' and are not searched for a platform. */
const largestConfigBytes = 4 * 1024 * 1024

export function createManifests(db: Database, store: BlobStore, clock: Clock): Manifests {
  return {
    async getManifest(place, reference) {
      const row = await db.read((tables) => {
        const columns = ['manifests.digest', 'manifests.media_type', 'manifests.bytes'] as const
        if ('digest' in reference) {
          return repositoryAt(tables, place)
            .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
            .where('manifests.digest', '=', reference.digest)
            .select(columns)
            .executeTakeFirst()
        }
        return repositoryAt(tables, place)
          .innerJoin('tags', 'tags.repository_id', 'repositories.id')
          .innerJoin('manifests', 'manifests.id', 'tags.manifest_id')
          .where('tags.name', '=', reference.tag)
          .select(columns)
          .executeTakeFirst()
      })
      if (row === undefined) throw unknown(place, reference)
      return { digest: storedDigest(row.digest), mediaType: row.media_type, bytes: row.bytes }
    },

    async putManifest(place, reference, contentType, bytes, { tags = [], precondition } = {}) {
      // 1. The body is a manifest of the announced type.
      const document = parse(bytes, contentType)
      checkReferences(document)
      // 2. Its digest is the one it is pushed by.
      const digest = digestFor(document, bytes, reference)
      const wantedTags = 'tag' in reference ? [reference.tag, ...tags] : tags
      const platform = await platformOf(place, document)
      await db.write(async (tables) => {
        const now = timestamp(clock)
        const repositoryId = await ensureRepository(tables, place, now)
        if (precondition !== undefined) {
          const current = await digestAt(tables, repositoryId, reference)
          if (!precondition(current)) throw new Fault('preconditionFailed', { current })
        }
        // 3. What it needs is there.
        await requireContent(tables, place, repositoryId, document)
        // 4. The manifest, once; 5. what it names; 6. its tags.
        const manifestId =
          (await touch(tables, repositoryId, digest, now)) ??
          (await insert(tables, repositoryId, digest, document, bytes, platform, now))
        for (const tag of new Set(wantedTags)) await pointTag(tables, repositoryId, tag, manifestId, now)
      })
      return { digest, subject: document.subject?.digest }
    },

    async deleteManifest(place, reference) {
      await db.write(async (tables) => {
        const repositoryId = await findRepository(tables, place)
        if (repositoryId === undefined) throw new Fault('repositoryUnknown', { repository: place.repository })
        if ('tag' in reference) {
          const gone = await tables
            .deleteFrom('tags')
            .where('repository_id', '=', repositoryId)
            .where('name', '=', reference.tag)
            .executeTakeFirst()
          if (gone.numDeletedRows === 0n) throw unknown(place, reference)
          return
        }
        const doomed = await withReferrers(tables, repositoryId, reference.digest)
        if (doomed.length === 0) throw unknown(place, reference)
        for (const batch of batches(doomed)) {
          await tables.deleteFrom('manifests').where('id', 'in', batch).execute()
        }
        await tables
          .updateTable('repositories')
          .set((row) => ({ manifest_count: row('manifest_count', '-', doomed.length), updated_at: timestamp(clock) }))
          .where('id', '=', repositoryId)
          .execute()
      })
    },
  }

  /** Architecture and os from the config of an image, read before the transaction; nothing for other artifacts. */
  async function platformOf(place: Place, document: ManifestDocument): Promise<{ architecture?: string; os?: string }> {
    const config = document.config
    if (config === undefined || config.size > largestConfigBytes || !imageConfigTypes.has(config.mediaType)) return {}
    const linked = await db.read((tables) =>
      repositoryAt(tables, place)
        .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
        .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
        .where('repository_blobs.digest', '=', config.digest)
        .select('blobs.size')
        .executeTakeFirst(),
    )
    if (linked === undefined || linked.size > largestConfigBytes) return {}
    const chunks: Buffer[] = []
    for await (const chunk of await readBlob(store, config.digest, linked.size)) chunks.push(Buffer.from(chunk))
    return parseImageConfig(Buffer.concat(chunks))
  }
}

const imageConfigTypes = new Set([
  'application/vnd.docker.container.image.v1+json',
  'application/vnd.oci.image.config.v1+json',
])

const unknown = (place: Place, reference: Reference) =>
  new Fault('manifestUnknown', {
    repository: place.repository,
    reference: 'digest' in reference ? reference.digest : reference.tag,
  })

function parse(bytes: Uint8Array, contentType: string): ManifestDocument {
  try {
    return parseManifest(bytes, contentType)
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    throw new Fault('manifestInvalid', { reason: error.message }, { cause: error })
  }
}

/** One transaction writes a row for each, and the others wait meanwhile. */
const mostReferences = 10_000

function checkReferences({ layers, children }: ManifestDocument): void {
  if (layers.length + children.length <= mostReferences) return
  throw new Fault('manifestInvalid', { reason: `the manifest names more than ${mostReferences} blobs and manifests` })
}

function digestFor(document: ManifestDocument, bytes: Uint8Array, reference: Reference): Digest {
  if ('tag' in reference) return digestOfManifest(document, bytes, 'sha256')
  const algorithm = algorithmOf(reference.digest)
  const actual = digestOfManifest(document, bytes, algorithm)
  // A signed schema 1 manifest is named by its payload; old clients name it by the whole body.
  if (actual !== reference.digest && digestOf(algorithm, bytes) !== reference.digest) {
    throw new Fault('digestMismatch', { expected: reference.digest, actual })
  }
  return reference.digest
}

async function digestAt(
  tables: Kysely<Tables>,
  repositoryId: number,
  reference: Reference,
): Promise<Digest | undefined> {
  const manifests = tables.selectFrom('manifests').where('manifests.repository_id', '=', repositoryId)
  const row = await ('digest' in reference
    ? manifests.where('manifests.digest', '=', reference.digest)
    : manifests.innerJoin('tags', 'tags.manifest_id', 'manifests.id').where('tags.name', '=', reference.tag)
  )
    .select('manifests.digest')
    .executeTakeFirst()
  return row === undefined ? undefined : storedDigest(row.digest)
}

/** The sum of all sizes that the manifest states; they may be lies, so it ends where exact numbers end. */
function imageSize({ config, layers, children }: ManifestDocument, bytes: Uint8Array): number {
  const parts = [...(config === undefined ? [] : [config]), ...layers, ...children]
  const sum = parts.reduce((total, { size }) => total + size, bytes.length)
  return Math.min(sum, Number.MAX_SAFE_INTEGER)
}

/** The key of a manifest that is there already, its time moved; undefined when it is not. */
async function touch(
  tables: Kysely<Tables>,
  repositoryId: number,
  digest: Digest,
  now: string,
): Promise<number | undefined> {
  const row = await tables
    .updateTable('manifests')
    .set({ updated_at: now })
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .returning('id')
    .executeTakeFirst()
  return row?.id
}

async function insert(
  tables: Kysely<Tables>,
  repositoryId: number,
  digest: Digest,
  document: ManifestDocument,
  bytes: Uint8Array,
  platform: { architecture?: string; os?: string },
  now: string,
): Promise<number> {
  const { config, layers, children } = document
  const { id } = await tables
    .insertInto('manifests')
    .values({
      repository_id: repositoryId,
      digest,
      media_type: document.mediaType,
      size: bytes.length,
      image_size: imageSize(document, bytes),
      artifact_type: referrerArtifactType(document) ?? null,
      config_media_type: config?.mediaType ?? null,
      architecture: platform.architecture ?? null,
      os: platform.os ?? null,
      subject_digest: document.subject?.digest ?? null,
      annotations: document.annotations === undefined ? null : JSON.stringify(document.annotations),
      created_at: now,
      updated_at: now,
      bytes,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const references = [
    ...(config === undefined ? [] : [{ manifest_id: id, role: 'config' as const, digest: config.digest }]),
    ...layers.map((layer) => ({ manifest_id: id, role: 'layer' as const, digest: layer.digest })),
    ...children.map((child) => ({ manifest_id: id, role: 'child' as const, digest: child.digest })),
  ]
  for (const batch of batches(references)) {
    await tables
      .insertInto('manifest_references')
      .values(batch)
      .onConflict((conflict) => conflict.doNothing()) // the same layer twice in one image
      .execute()
  }
  await tables
    .updateTable('repositories')
    .set((row) => ({ manifest_count: row('manifest_count', '+', 1), updated_at: now }))
    .where('id', '=', repositoryId)
    .execute()
  return id
}

async function pointTag(
  tables: Kysely<Tables>,
  repositoryId: number,
  name: string,
  manifestId: number,
  now: string,
): Promise<void> {
  await tables
    .insertInto('tags')
    .values({ repository_id: repositoryId, name, manifest_id: manifestId, created_at: now, updated_at: now })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet({ manifest_id: manifestId, updated_at: now }),
    )
    .execute()
}

/** Keys of a manifest and of all that refer to it, directly or through one another. Empty when it is not there. */
async function withReferrers(tables: Kysely<Tables>, repositoryId: number, digest: Digest): Promise<number[]> {
  const first = await tables
    .selectFrom('manifests')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .select(['id', 'digest'])
    .execute()
  const found = new Map(first.map((row) => [row.digest, row.id]))
  let front = first
  while (front.length > 0) {
    const next: typeof front = []
    for (const batch of batches(front.map((row) => row.digest))) {
      const referrers = await tables
        .selectFrom('manifests')
        .where('repository_id', '=', repositoryId)
        .where('subject_digest', 'in', batch)
        .select(['id', 'digest'])
        .execute()
      next.push(...referrers.filter((row) => !found.has(row.digest)))
    }
    for (const row of next) found.set(row.digest, row.id)
    front = next
  }
  return [...found.values()]
}
