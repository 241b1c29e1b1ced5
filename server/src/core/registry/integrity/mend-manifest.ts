/** Repairs of manifests' rows, each in one transaction that judges the row once more. */
import type { Kysely } from 'kysely'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { batches } from '../../../base/batches.ts'
import type { Clock } from '../../../base/clock.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { reviewLinks, useLinks } from '../links.ts'
import { needChildren, reviewChildren, reviewManifest, reviewReferrers } from '../needed-manifests.ts'
import { addToRegistry, addToRepository } from '../usage.ts'
import type { Repair } from './finding.ts'
import { type Judgement, judgeManifest, type StoredManifest, type StoredReference } from './judge-manifest.ts'

export type Platform = { readonly architecture: string | null; readonly os: string | null }

/** Undefined where it has gone. */
export async function readManifest(
  tables: Kysely<Tables>,
  id: number,
): Promise<{ row: StoredManifest & Platform; references: StoredReference[] } | undefined> {
  const row = await tables.selectFrom('manifests').where('id', '=', id).selectAll().executeTakeFirst()
  if (row === undefined) return undefined
  const references = await tables
    .selectFrom('manifest_references')
    .where('manifest_id', '=', id)
    .select(['role', 'digest', 'repository_id'])
    .execute()
  return { row, references }
}

/** Works out a row anew from its bytes. platform: where that is wrong too. */
export function mendRow(db: Database, clock: Clock, id: number, platform?: Platform): Promise<Repair> {
  return db.write(async (tables) => {
    const found = await readManifest(tables, id)
    if (found === undefined) return 'changed'
    const judgement = judgeManifest(found.row, found.references)
    if (judgement.kind !== 'sound') return 'changed'
    if (platform !== undefined) await tables.updateTable('manifests').set(platform).where('id', '=', id).execute()
    await writeRow(tables, found.row, found.references, judgement, timestamp(clock))
    return { done: 'the row is worked out anew' }
  })
}

/** For bytes that are not those of the digest. */
export function mendBytes(db: Database, clock: Clock, id: number): Promise<Repair> {
  return db.write(async (tables) => {
    const found = await readManifest(tables, id)
    if (found === undefined || judgeManifest(found.row, found.references).kind !== 'damaged') return 'changed'
    const { row, references } = found
    const now = timestamp(clock)
    for await (const copy of copiesOf(tables, row)) {
      const judgement = judgeManifest({ ...row, ...copy }, references)
      if (judgement.kind !== 'sound') continue
      await tables.updateTable('manifests').set({ bytes: copy.bytes }).where('id', '=', id).execute()
      await writeRow(tables, row, references, judgement, now)
      return { done: `it has the bytes of the same manifest in ${copy.place}` }
    }
    const tags = await tables.selectFrom('tags').where('manifest_id', '=', id).orderBy('name').select('name').execute()
    await remove(tables, row, references, now)
    const names = tags.map(({ name }) => name)
    return { done: `it is removed${names.length > 0 ? ` with its tags ${names.join(', ')}` : ''}; push it again` }
  })
}

/** The same manifest in other repositories, one at a time. Goes through all repositories, since nobody asks otherwise. */
async function* copiesOf(tables: Kysely<Tables>, { id, digest }: StoredManifest) {
  for (let last = -1; ; ) {
    const [copy] = await tables
      .selectFrom('repositories')
      .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
      .innerJoin('registries', 'registries.id', 'repositories.registry_id')
      .where('manifests.digest', '=', digest)
      .where('manifests.id', '!=', id)
      .where('repositories.id', '>', last)
      .orderBy('repositories.id')
      .limit(1)
      .select(['repositories.id', 'manifests.bytes', 'manifests.media_type'])
      .select(['registries.name as registry', 'repositories.name as repository'])
      .execute()
    if (copy === undefined) return
    last = copy.id
    yield { bytes: copy.bytes, media_type: copy.media_type, place: `${copy.registry}/${copy.repository}` }
  }
}

async function writeRow(
  tables: Kysely<Tables>,
  { id, repository_id }: StoredManifest,
  references: readonly StoredReference[],
  { facts, named }: Extract<Judgement, { kind: 'sound' }>,
  now: string,
): Promise<void> {
  await tables.updateTable('manifests').set(facts).where('id', '=', id).execute()
  await tables.deleteFrom('manifest_references').where('manifest_id', '=', id).execute()
  for (const batch of batches(named)) {
    await tables
      .insertInto('manifest_references')
      .values(batch.map((one) => ({ manifest_id: id, repository_id, ...one })))
      .execute()
  }
  const digests = named.map(({ digest }) => digest)
  await useLinks(tables, repository_id, digests)
  await needChildren(
    tables,
    repository_id,
    named.filter(isChild).map(({ digest }) => digest),
  )
  const before = references.filter(({ digest }) => !digests.includes(digest))
  await reviewNamed(tables, repository_id, before, now)
  await reviewManifest(tables, id, now)
}

/** As a deletion, but what refers to it stays, for whoever pushes it again. */
async function remove(
  tables: Kysely<Tables>,
  { id, repository_id, digest, size }: StoredManifest,
  references: readonly StoredReference[],
  now: string,
): Promise<void> {
  await tables.deleteFrom('manifests').where('id', '=', id).execute()
  await reviewNamed(tables, repository_id, references, now)
  await reviewReferrers(tables, repository_id, digest, now)
  const { registry_id } = await tables
    .updateTable('repositories')
    .set((row) => ({ manifest_count: row('manifest_count', '-', 1), updated_at: now }))
    .where('id', '=', repository_id)
    .returning('registry_id')
    .executeTakeFirstOrThrow()
  const change = { blobBytes: 0, manifestBytes: -size }
  await addToRepository(tables, repository_id, change)
  await addToRegistry(tables, registry_id, change)
}

async function reviewNamed(
  tables: Kysely<Tables>,
  repositoryId: number,
  references: readonly StoredReference[],
  now: string,
): Promise<void> {
  const digests = references.map(({ digest }) => digest)
  await reviewLinks(tables, repositoryId, digests, now)
  await reviewChildren(
    tables,
    repositoryId,
    references.filter(isChild).map(({ digest }) => digest),
    now,
  )
}

const isChild = ({ role }: { readonly role: string }) => role === 'child'
