/** Lists, each one page of an index: page 10,000 costs what page 1 costs. */
import type { Digest } from '@berth/oci'
import { type Kysely, sql } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { ManifestsTable } from '../../backends/db/tables/manifests.ts'
import { Fault } from '../../base/fault.ts'
import { findRepository, type Place, repositoryAt } from './place.ts'
import { storedDigest } from './stored-digest.ts'

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

const tagPage = fixedQuery<Place & { readonly last: string; readonly limit: number }>()((db, param) =>
  db
    .selectFrom('tags')
    // Not a join: PostgreSQL follows an index in its order only below a single value, else it sorts all tags for each page.
    .where('repository_id', '=', repositoryIdAt(db, { registry: param('registry'), repository: param('repository') }))
    .where('name', '>', param('last'))
    .orderBy('name')
    .limit(param('limit'))
    .select('name'),
)

const repositoryIdAt = (db: Kysely<Tables>, place: Place) => repositoryAt(db, place).select('repositories.id')

const repositoryWithManifests = fixedQuery<Place>()((db, param) =>
  repositoryAt(db, { registry: param('registry'), repository: param('repository') })
    .where('repositories.manifest_count', '>', 0)
    .select('repositories.id'),
)

const catalogPage = fixedQuery<{ readonly registry: string; readonly last: string; readonly limit: number }>()(
  (db, param) =>
    db
      .selectFrom('repositories')
      .where('registry_id', '=', (query) =>
        query.selectFrom('registries').where('name', '=', param('registry')).select('id'),
      )
      .where('manifest_count', '>', sql.lit(0)) // in the text, or PostgreSQL would not see that its index fits
      .where('name', '>', param('last'))
      .orderBy('name')
      .limit(param('limit'))
      .select('name'),
)

export function createListings(db: Database): Listings {
  return {
    async listTags({ registry, repository }, { limit, last }) {
      const rows = await db.select(tagPage, { registry, repository, last, limit: limit + 1 })
      if (rows.length === 0 && (await db.select(repositoryWithManifests, { registry, repository })).length === 0) {
        throw new Fault('repositoryUnknown', { repository })
      }
      return cut(rows, limit, (row) => row.name)
    },

    async listRepositories(registry, { limit, last }) {
      const rows = await db.select(catalogPage, { registry, last, limit: limit + 1 })
      return cut(rows, limit, (row) => row.name)
    },

    async listReferrers(place, subject, artifactType, page) {
      if (artifactType?.includes('\0')) return { entries: [], hasMore: false } // not to be asked: no manifest has one
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
