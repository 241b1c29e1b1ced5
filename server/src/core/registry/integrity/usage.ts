/** What is counted of repositories and registries, against a recount. */
import type { Kysely } from 'kysely'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { addToRegistry, addToRepository, type Usage } from '../usage.ts'
import { type Check, type Parts, pages, type Repair, type Trouble } from './finding.ts'

const pageRows = 200

interface Counted {
  readonly name: string
  /** `noted` may be null where there are no rows. */
  readonly noted_blobs: number | null
  readonly noted_manifests: number | null
  readonly blobs: number | null
  readonly manifests: number | null
}

/** Each repository by itself: one that holds very much is one long statement, which sees one moment. */
export function repositoryCounts({ db }: Parts): Check<number> {
  async function* scan() {
    for await (const rows of pages((last?: { id: number }) => readIds(db, last?.id ?? -1))) {
      const suspects: number[] = []
      for (const { id } of rows) if ((await look(id)).length > 0) suspects.push(id)
      yield { looked: rows.length, suspects }
    }
  }

  async function look(id: number): Promise<Trouble[]> {
    const counted = await db.read((tables) => countRepository(tables, id))
    if (counted === undefined) return []
    const name = `${counted.registry}/${counted.name}`
    const about = { name, where: [name], elsewhere: 0, bytes: 0 }
    const troubles: Trouble[] = []
    if (counted.manifest_count !== counted.manifest_rows) {
      troubles.push({
        kind: 'wrong manifest count',
        ...about,
        detail: `${counted.manifest_count} are noted, and ${counted.manifest_rows} are there`,
        repair: () => db.write((tables) => recountManifests(tables, id)),
      })
    }
    if (!isRight(counted)) {
      troubles.push({
        kind: 'wrong usage',
        ...about,
        detail: detailOf(counted),
        repair: () => db.write((tables) => recountRepository(tables, id)),
      })
    }
    return troubles
  }

  return { things: 'repositories', scan, look }
}

const readIds = (db: Database, after: number) =>
  db.read((tables) =>
    tables.selectFrom('repositories').where('id', '>', after).orderBy('id').limit(pageRows).select('id').execute(),
  )

const countRepository = (tables: Kysely<Tables>, id: number) =>
  tables
    .selectFrom('repositories')
    .innerJoin('registries', 'registries.id', 'repositories.registry_id')
    .where('repositories.id', '=', id)
    .select(['registries.name as registry', 'repositories.name', 'repositories.manifest_count'])
    .select(({ selectFrom }) => {
      const noted = selectFrom('repository_usage').where('repository_id', '=', id)
      const manifests = selectFrom('manifests').where('repository_id', '=', id)
      return [
        noted.select(({ fn }) => fn.sum<number>('blob_bytes').as('sum')).as('noted_blobs'),
        noted.select(({ fn }) => fn.sum<number>('manifest_bytes').as('sum')).as('noted_manifests'),
        selectFrom('repository_blobs')
          .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
          .where('repository_blobs.repository_id', '=', id)
          .select(({ fn }) => fn.sum<number>('blobs.size').as('sum'))
          .as('blobs'),
        manifests.select(({ fn }) => fn.sum<number>('size').as('sum')).as('manifests'),
        manifests.select(({ fn }) => fn.countAll<number>().as('count')).as('manifest_rows'),
      ]
    })
    .executeTakeFirst()

async function recountManifests(tables: Kysely<Tables>, id: number): Promise<Repair> {
  const counted = await countRepository(tables, id)
  if (counted === undefined || counted.manifest_count === counted.manifest_rows) return 'changed'
  const manifest_count = counted.manifest_rows ?? 0
  await tables.updateTable('repositories').set({ manifest_count }).where('id', '=', id).execute()
  return { done: `${manifest_count} are noted` }
}

async function recountRepository(tables: Kysely<Tables>, id: number): Promise<Repair> {
  const counted = await countRepository(tables, id)
  if (counted === undefined || isRight(counted)) return 'changed'
  await addToRepository(tables, id, differenceOf(counted))
  return { done: 'the difference is noted' }
}

/**
 * What a registry's manifests come to, its repositories know: they have just been looked at. Only where that does not fit are
 * all manifests counted.
 */
export function registryCounts({ db }: Parts): Check<number> {
  async function* scan() {
    const ids = await db.read((tables) => tables.selectFrom('registries').orderBy('id').select('id').execute())
    for (const { id } of ids) {
      const counted = await db.read((tables) => countRegistry(tables, id, 'by repositories'))
      yield { looked: 1, suspects: counted === undefined || isRight(counted) ? [] : [id] }
    }
  }

  async function look(id: number): Promise<Trouble[]> {
    const counted = await db.read((tables) => countRegistry(tables, id, 'all'))
    if (counted === undefined || isRight(counted)) return []
    return [
      {
        kind: 'wrong usage',
        name: counted.name,
        where: [counted.name],
        elsewhere: 0,
        detail: detailOf(counted),
        bytes: 0,
        repair: () => db.write((tables) => recountRegistry(tables, id)),
      },
    ]
  }

  return { things: 'registries', scan, look }
}

const countRegistry = (tables: Kysely<Tables>, id: number, how: 'by repositories' | 'all') =>
  tables
    .selectFrom('registries')
    .where('registries.id', '=', id)
    .select('registries.name')
    .select(({ selectFrom }) => {
      const noted = selectFrom('registry_usage').where('registry_id', '=', id)
      const repositories = selectFrom('repositories').where('repositories.registry_id', '=', id)
      return [
        noted.select(({ fn }) => fn.sum<number>('blob_bytes').as('sum')).as('noted_blobs'),
        noted.select(({ fn }) => fn.sum<number>('manifest_bytes').as('sum')).as('noted_manifests'),
        selectFrom('registry_blobs')
          .innerJoin('blobs', 'blobs.digest', 'registry_blobs.digest')
          .where('registry_blobs.registry_id', '=', id)
          .select(({ fn }) => fn.sum<number>('blobs.size').as('sum'))
          .as('blobs'),
        how === 'all'
          ? repositories
              .innerJoin('manifests', 'manifests.repository_id', 'repositories.id')
              .select(({ fn }) => fn.sum<number>('manifests.size').as('sum'))
              .as('manifests')
          : repositories
              .innerJoin('repository_usage', 'repository_usage.repository_id', 'repositories.id')
              .select(({ fn }) => fn.sum<number>('repository_usage.manifest_bytes').as('sum'))
              .as('manifests'),
      ]
    })
    .executeTakeFirst()

async function recountRegistry(tables: Kysely<Tables>, id: number): Promise<Repair> {
  const counted = await countRegistry(tables, id, 'all')
  if (counted === undefined || isRight(counted)) return 'changed'
  await addToRegistry(tables, id, differenceOf(counted))
  return { done: 'the difference is noted' }
}

function isRight(counted: Counted): boolean {
  const { blobBytes, manifestBytes } = differenceOf(counted)
  return blobBytes === 0 && manifestBytes === 0
}

const differenceOf = (counted: Counted): Usage => ({
  blobBytes: (counted.blobs ?? 0) - (counted.noted_blobs ?? 0),
  manifestBytes: (counted.manifests ?? 0) - (counted.noted_manifests ?? 0),
})

const detailOf = ({ noted_blobs, blobs, noted_manifests, manifests }: Counted) =>
  `noted are ${noted_blobs ?? 0} bytes of blobs and ${noted_manifests ?? 0} of manifests, ` +
  `and there are ${blobs ?? 0} and ${manifests ?? 0}`
