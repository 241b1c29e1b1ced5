/** Tags, which must name a manifest of their own repository. */
import type { Kysely } from 'kysely'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { needManifest, reviewManifest } from '../needed-manifests.ts'
import { type Check, type Parts, pages, type Repair, type Trouble } from './finding.ts'

const pageRows = 1_000

interface TagKey {
  readonly repository_id: number
  readonly name: string
}

export function tags({ db, clock }: Parts): Check<TagKey> {
  async function* scan() {
    for await (const rows of pages((last?: TagKey) => readPage(last))) {
      yield { looked: rows.length, suspects: rows.filter((row) => row.owner !== row.repository_id) }
    }
  }

  const readPage = (last: TagKey = { repository_id: -1, name: '' }) =>
    db.read((tables) =>
      withOwners(tables)
        .where(({ eb, refTuple, tuple }) =>
          eb(refTuple('tags.repository_id', 'tags.name'), '>', tuple(last.repository_id, last.name)),
        )
        .orderBy('tags.repository_id')
        .orderBy('tags.name')
        .limit(pageRows)
        .execute(),
    )

  async function look(key: TagKey): Promise<Trouble[]> {
    const tag = await db.read((tables) =>
      withOwners(tables)
        .leftJoin('repositories', 'repositories.id', 'tags.repository_id')
        .leftJoin('registries', 'registries.id', 'repositories.registry_id')
        .leftJoin('repositories as elsewhere', 'elsewhere.id', 'manifests.repository_id')
        .where('tags.repository_id', '=', key.repository_id)
        .where('tags.name', '=', key.name)
        .select(['registries.name as registry', 'repositories.name as repository'])
        .select(['manifests.digest', 'manifests.size', 'elsewhere.name as other'])
        .executeTakeFirst(),
    )
    if (tag === undefined || tag.owner === tag.repository_id) return []
    return [
      {
        kind: 'misplaced tag',
        name: key.name,
        where: [`${tag.registry}/${tag.repository}`],
        elsewhere: 0,
        detail: tag.digest === null ? 'the manifest is not there' : `it names ${tag.digest} of ${tag.other}`,
        bytes: tag.size ?? 0,
        repair: () => repair(key, tag.digest),
      },
    ]
  }

  function repair({ repository_id, name }: TagKey, digest: string | null): Promise<Repair> {
    return db.write(async (tables): Promise<Repair> => {
      const now = timestamp(clock)
      const tag = tables.selectFrom('tags').where('repository_id', '=', repository_id).where('name', '=', name)
      const still = await tag.select('manifest_id').executeTakeFirst()
      const own = await tables
        .selectFrom('manifests')
        .where('repository_id', '=', repository_id)
        .where('digest', '=', digest)
        .select('id')
        .executeTakeFirst()
      if (still === undefined || still.manifest_id === own?.id) return 'changed'
      if (own === undefined) {
        await tables.deleteFrom('tags').where('repository_id', '=', repository_id).where('name', '=', name).execute()
      } else {
        await tables
          .updateTable('tags')
          .set({ manifest_id: own.id })
          .where('repository_id', '=', repository_id)
          .where('name', '=', name)
          .execute()
        await needManifest(tables, own.id)
      }
      await reviewManifest(tables, still.manifest_id, now)
      return { done: own === undefined ? 'it is removed' : 'it names the manifest of its own repository' }
    })
  }

  return { things: 'tags', scan, look }
}

/** owner: the repository of the manifest that the tag names; null where there is no such manifest. */
const withOwners = (tables: Kysely<Tables>) =>
  tables
    .selectFrom('tags')
    .leftJoin('manifests', 'manifests.id', 'tags.manifest_id')
    .select(['tags.repository_id', 'tags.name', 'manifests.repository_id as owner'])
