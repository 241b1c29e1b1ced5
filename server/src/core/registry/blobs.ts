/** Blobs as repositories see them: a digest that is linked to the repository, or nothing. */
import type { Digest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import { timestamp } from '../../base/timestamp.ts'
import { createBlobLookup, type RememberingLookup } from './blob-lookup.ts'
import { createLinkRenewal, linkBlob, unlinkBlobs } from './links.ts'
import { ensureRepository, type Place, repositoryAt } from './place.ts'

export interface Blobs extends RememberingLookup {
  /**
   * Unlinks a blob from the repository; its bytes stay for whoever else links them.
   * Faults: `blobUnknown`; `blobInUse` while a manifest of this repository names it.
   */
  deleteBlob(place: Place, digest: Digest): Promise<void>
  /**
   * Links a blob of the same registry without moving bytes. from: the repository to take it from, or undefined to take it
   * from any that `mayPull` allows. Answers whether it was done; false is no fault, the client uploads instead.
   * Spec: OCI distribution-spec 1.1, "Mounting a blob from another repository".
   */
  mountBlob(
    place: Place,
    digest: Digest,
    from: string | undefined,
    mayPull: (repository: string) => boolean,
  ): Promise<boolean>
}

/** How many repositories with the same blob are asked about before an unnamed mount gives up. */
const mountCandidates = 100

/** graceMs: how long the collection leaves a blob that no manifest names. */
export function createBlobs(db: Database, store: BlobStore, clock: Clock, graceMs: number): Blobs {
  return {
    ...createBlobLookup(db, store, clock, createLinkRenewal(db, clock, graceMs)),

    async deleteBlob(place, digest) {
      await db.write(async (tables) => {
        const linked = await repositoryAt(tables, place)
          .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
          .where('repository_blobs.digest', '=', digest)
          .select('repositories.id')
          .executeTakeFirst()
        if (linked === undefined) throw new Fault('blobUnknown', { digest })
        const user = await tables
          .selectFrom('manifest_references')
          .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
          .where('manifest_references.digest', '=', digest)
          .where('manifest_references.repository_id', '=', linked.id)
          .select('manifests.digest')
          .executeTakeFirst()
        if (user !== undefined) throw new Fault('blobInUse', { digest, manifest: user.digest })
        await unlinkBlobs(tables, linked.id, [digest], timestamp(clock))
      })
    },

    async mountBlob(place, digest, from, mayPull) {
      // Most answers are "no", and those need no turn among the writers.
      if (!(await db.read((tables) => hasSource(tables, place, digest, from, mayPull)))) return false
      return db.write(async (tables) => {
        if (!(await hasSource(tables, place, digest, from, mayPull))) return false
        const now = timestamp(clock)
        await linkBlob(tables, await ensureRepository(tables, place, now), digest, now)
        return true
      })
    },
  }
}

/** Whether a repository of the registry has the blob, undamaged, and may be pulled from. */
async function hasSource(
  tables: Kysely<Tables>,
  place: Place,
  digest: Digest,
  from: string | undefined,
  mayPull: (repository: string) => boolean,
): Promise<boolean> {
  let sources = tables
    .selectFrom('repository_blobs')
    .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
    .innerJoin('registries', 'registries.id', 'repositories.registry_id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .where('repository_blobs.digest', '=', digest)
    .where('blobs.damaged_at', 'is', null)
    .where('registries.name', '=', place.registry)
    .select('repositories.name')
    .limit(mountCandidates)
  if (from !== undefined) sources = sources.where('repositories.name', '=', from)
  return (await sources.execute()).some(({ name }) => mayPull(name))
}
