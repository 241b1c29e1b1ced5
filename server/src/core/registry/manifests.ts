/** Manifests: read as they were pushed, written in one transaction with everything that must be true about them. */
import {
  algorithmOf,
  type Digest,
  digestOf,
  digestOfManifest,
  type ManifestDocument,
  ManifestError,
  parseManifest,
} from '@berth/oci'
import type { Kysely } from 'kysely'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery, onlyRow, run } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { batches } from '../../base/batches.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { timestamp } from '../../base/timestamp.ts'
import { platformOf } from './image-platform.ts'
import { useLinks } from './links.ts'
import { requireContent } from './manifest-content.ts'
import { createManifestLookup, type ManifestLookup, manifestUnknown, type Reference } from './manifest-lookup.ts'
import { finishRemovals, removeIfGoing, removeManifest } from './manifest-removal.ts'
import { factsOf, type ManifestFacts, namedBy } from './manifest-rows.ts'
import { needChildren, needManifest, renewManifest, reviewManifest } from './needed-manifests.ts'
import { ensureRepository, findRepository, type Place } from './place.ts'
import { storedDigest } from './stored-digest.ts'
import { addToRegistry, addToRepository } from './usage.ts'

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

export interface Manifests extends ManifestLookup {
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

export function createManifests(db: Database, store: BlobStore, clock: Clock): Manifests {
  return {
    ...createManifestLookup(db),

    async putManifest(place, reference, contentType, bytes, { tags = [], precondition } = {}) {
      // 1. The body is a manifest of the announced type.
      const document = parse(bytes, contentType)
      checkReferences(document)
      // 2. Its digest is the one it is pushed by.
      const digest = digestFor(document, bytes, reference)
      const wantedTags = 'tag' in reference ? [reference.tag, ...tags] : tags
      const platform = await platformOf(db, store, place, document)
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
          (await touch(tables, repositoryId, digest, document, bytes, now)) ??
          (await insert(tables, repositoryId, digest, document, bytes, platform, now))
        for (const tag of new Set(wantedTags)) await pointTag(tables, repositoryId, tag, manifestId, now)
        if (wantedTags.length === 0) await reviewManifest(tables, manifestId, now)
        else await needManifest(tables, manifestId)
      })
      return { digest, subject: document.subject?.digest }
    },

    async deleteManifest(place, reference) {
      const unfinished = await db.write(async (tables) => {
        const now = timestamp(clock)
        const repositoryId = await findRepository(tables, place)
        if (repositoryId === undefined) throw new Fault('repositoryUnknown', { repository: place.repository })
        if ('tag' in reference) {
          const gone = await tables
            .deleteFrom('tags')
            .where('repository_id', '=', repositoryId)
            .where('name', '=', reference.tag)
            .returning('manifest_id')
            .executeTakeFirst()
          if (gone === undefined) throw manifestUnknown(place.repository, reference)
          await reviewManifest(tables, gone.manifest_id, now)
          return undefined
        }
        const manifest = await tables
          .selectFrom('manifests')
          .where('repository_id', '=', repositoryId)
          .where('digest', '=', reference.digest)
          .select(['id', 'digest', 'size', 'updated_at'])
          .executeTakeFirst()
        if (manifest === undefined) throw manifestUnknown(place.repository, reference)
        const { hasMore } = await removeManifest(tables, repositoryId, manifest, now)
        return hasMore ? repositoryId : undefined
      })
      if (unfinished === undefined) return
      for await (const _ of finishRemovals(db, clock, unfinished)) {
        // The answer is that all are gone.
      }
    },
  }
}

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

/** The key of a manifest that is there already, its time moved; undefined when it is not. */
async function touch(
  tables: Kysely<Tables>,
  repositoryId: number,
  digest: Digest,
  document: ManifestDocument,
  bytes: Uint8Array,
  now: string,
): Promise<number | undefined> {
  // Where the bytes are what the digest names, they are those of the row, unless its own are damaged: this heals them.
  const healing = digestOf(algorithmOf(digest), bytes) === digest ? { bytes } : {}
  const row = await tables
    .updateTable('manifests')
    .set({ updated_at: now, ...healing })
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .returning(['id', 'digest', 'size', 'updated_at'])
    .executeTakeFirst()
  if (row === undefined) return undefined
  if (document.subject !== undefined && (await removeIfGoing(tables, repositoryId, row, now))) return undefined
  await renewManifest(tables, row.id, now)
  return row.id
}

interface NewManifest extends ManifestFacts {
  readonly repository_id: number
  readonly digest: string
  readonly architecture: string | null
  readonly os: string | null
  readonly now: string
  readonly bytes: Uint8Array
}

const newManifest = fixedQuery<NewManifest>()((db, param) =>
  db
    .insertInto('manifests')
    .values({
      repository_id: param('repository_id'),
      digest: param('digest'),
      media_type: param('media_type'),
      size: param('size'),
      image_size: param('image_size'),
      artifact_type: param('artifact_type'),
      config_media_type: param('config_media_type'),
      architecture: param('architecture'),
      os: param('os'),
      subject_digest: param('subject_digest'),
      annotations: param('annotations'),
      created_at: param('now'),
      updated_at: param('now'),
      bytes: param('bytes'),
    })
    .returning('id'),
)

const oneMoreManifest = fixedQuery<{ readonly repositoryId: number; readonly now: string }>()((db, param) =>
  db
    .updateTable('repositories')
    .set((row) => ({ manifest_count: row('manifest_count', '+', 1), updated_at: param('now') }))
    .where('id', '=', param('repositoryId'))
    .returning('registry_id'),
)

async function insert(
  tables: Kysely<Tables>,
  repositoryId: number,
  digest: Digest,
  document: ManifestDocument,
  bytes: Uint8Array,
  platform: { architecture?: string; os?: string },
  now: string,
): Promise<number> {
  const facts = factsOf(document, bytes)
  const { architecture = null, os = null } = platform
  const { id } = onlyRow(
    await run(tables, newManifest, { repository_id: repositoryId, digest, ...facts, architecture, os, now, bytes }),
  )
  const references = namedBy(document).map((named) => ({ manifest_id: id, repository_id: repositoryId, ...named }))
  for (const batch of batches(references)) {
    await tables.insertInto('manifest_references').values(batch).execute()
  }
  const digests = references.map((reference) => reference.digest)
  await useLinks(tables, repositoryId, digests)
  if (document.children.length > 0) await needChildren(tables, repositoryId, digests)
  const { registry_id } = onlyRow(await run(tables, oneMoreManifest, { repositoryId, now }))
  const change = { blobBytes: 0, manifestBytes: bytes.length }
  await addToRepository(tables, repositoryId, change)
  await addToRegistry(tables, registry_id, change)
  return id
}

interface TagName {
  readonly repositoryId: number
  readonly name: string
}

const tagAt = fixedQuery<TagName>()((db, param) =>
  db
    .selectFrom('tags')
    .where('repository_id', '=', param('repositoryId'))
    .where('name', '=', param('name'))
    .select('manifest_id'),
)

const tagged = fixedQuery<TagName & { readonly manifestId: number; readonly now: string }>()((db, param) =>
  db
    .insertInto('tags')
    .values({
      repository_id: param('repositoryId'),
      name: param('name'),
      manifest_id: param('manifestId'),
      created_at: param('now'),
      updated_at: param('now'),
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet((row) => ({
        manifest_id: row.ref('excluded.manifest_id'),
        updated_at: row.ref('excluded.updated_at'),
      })),
    ),
)

async function pointTag(
  tables: Kysely<Tables>,
  repositoryId: number,
  name: string,
  manifestId: number,
  now: string,
): Promise<void> {
  const [before] = (await run(tables, tagAt, { repositoryId, name })).rows
  await run(tables, tagged, { repositoryId, name, manifestId, now })
  if (before !== undefined && before.manifest_id !== manifestId) await reviewManifest(tables, before.manifest_id, now)
}
