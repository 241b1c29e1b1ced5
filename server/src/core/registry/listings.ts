/** Lists, each one page of an index: page 10,000 costs what page 1 costs. */
import type { Digest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { ManifestsTable } from '../../backends/db/tables/manifests.ts'
import { Fault } from '../../base/fault.ts'
import { storedDigest } from './blobs.ts'
import { findRepository, type Place } from './place.ts'

/** limit: entries at most; last: begin after this one, which need not exist. */
export interface PageRequest {
  readonly limit: number
  readonly last: string
}

export interface PageOf<Entry> {
  readonly entries: readonly Entry[]
  readonly hasMore: boolean
}

/** A manifest as the referrers API describes it. */
export interface Referrer {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes of the manifest. */
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Listings {
  /** Names in byte order. Faults: `repositoryUnknown` for a repository without manifests. */
  listTags(place: Place, page: PageRequest): Promise<PageOf<string>>
  /** Names of the repositories that have manifests, in byte order. */
  listRepositories(registry: string, page: PageRequest): Promise<PageOf<string>>
  /** In the order of their digests; a subject that does not exist, or nobody refers to, has none. */
  listReferrers(
    place: Place,
    subject: Digest,
    artifactType: string | undefined,
    page: PageRequest,
  ): Promise<PageOf<Referrer>>
}

/** A page of referrers ends early when it holds this many bytes: the answer must stay a manifest's size. */
const referrerPageBytes = 3 * 1024 * 1024

export function createListings(db: Database): Listings {
  return {
    async listTags(place, page) {
      return db.read(async (tables) => {
        const repositoryId = await findRepository(tables, place)
        if (repositoryId === undefined) throw new Fault('repositoryUnknown', { repository: place.repository })
        const rows = await tables
          .selectFrom('tags')
          .where('repository_id', '=', repositoryId)
          .where('name', '>', page.last)
          .orderBy('name')
          .limit(page.limit + 1)
          .select('name')
          .execute()
        if (rows.length === 0 && !(await hasManifests(tables, repositoryId))) {
          throw new Fault('repositoryUnknown', { repository: place.repository })
        }
        return cut(rows, page.limit, (row) => row.name)
      })
    },

    async listRepositories(registry, page) {
      const rows = await db.read((tables) =>
        tables
          .selectFrom('repositories')
          .where('registry_id', '=', (query) =>
            query.selectFrom('registries').where('name', '=', registry).select('id'),
          )
          .where('manifest_count', '>', 0)
          .where('name', '>', page.last)
          .orderBy('name')
          .limit(page.limit + 1)
          .select('name')
          .execute(),
      )
      return cut(rows, page.limit, (row) => row.name)
    },

    async listReferrers(place, subject, artifactType, page) {
      return db.read(async (tables) => {
        const repositoryId = await findRepository(tables, place)
        if (repositoryId === undefined) return { entries: [], hasMore: false }
        let referrers = tables
          .selectFrom('manifests')
          .where('repository_id', '=', repositoryId)
          .where('subject_digest', '=', subject)
          .where('digest', '>', page.last)
          .orderBy('digest')
        if (artifactType !== undefined) referrers = referrers.where('artifact_type', '=', artifactType)
        // Sizes come first: a thousand manifests may hold megabytes of annotations each. `octet_length` reads no content.
        const found = await referrers
          .limit(page.limit + 1)
          .select(({ fn }) => [
            'digest',
            fn<number | null>('octet_length', ['annotations']).as('annotations_bytes'),
            fn<number | null>('octet_length', ['artifact_type']).as('type_bytes'),
          ])
          .execute()
        let bytes = 0
        const fitting = found.findIndex((row, index) => {
          bytes += (row.annotations_bytes ?? 0) + (row.type_bytes ?? 0)
          return index > 0 && bytes > referrerPageBytes
        })
        const limit = fitting < 0 ? page.limit : Math.min(fitting, page.limit)
        const { entries, hasMore } = cut(found, limit, (row) => row.digest)
        const rows = await referrers
          .where('digest', '<=', entries.at(-1) ?? '')
          .select(['media_type', 'digest', 'size', 'artifact_type', 'annotations'])
          .execute()
        return { entries: rows.map(referrerOf), hasMore }
      })
    },
  }
}

async function hasManifests(tables: Kysely<Tables>, repositoryId: number): Promise<boolean> {
  const row = await tables
    .selectFrom('repositories')
    .where('id', '=', repositoryId)
    .select('manifest_count')
    .executeTakeFirst()
  return (row?.manifest_count ?? 0) > 0
}

type ReferrerRow = Pick<ManifestsTable, 'media_type' | 'digest' | 'size' | 'artifact_type' | 'annotations'>

const referrerOf = (row: ReferrerRow): Referrer => ({
  mediaType: row.media_type,
  digest: storedDigest(row.digest),
  size: row.size,
  ...(row.artifact_type === null ? {} : { artifactType: row.artifact_type }),
  ...(row.annotations === null ? {} : { annotations: JSON.parse(row.annotations) as Record<string, string> }),
})

function cut<Row, Entry>(rows: readonly Row[], limit: number, entryOf: (row: Row) => Entry): PageOf<Entry> {
  return { entries: rows.slice(0, limit).map(entryOf), hasMore: limit > 0 && rows.length > limit }
}
