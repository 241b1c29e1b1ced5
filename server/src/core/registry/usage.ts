/**
 * How many bytes are stored, exact at every moment. A repository counts the distinct blobs that it links and its manifests;
 * a registry counts each blob that any of its repositories links once, and all their manifests.
 */
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery, run } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { Fault } from '../../base/fault.ts'
import { repositoryAt } from './place.ts'

export interface Usage {
  /** Bytes of the distinct blobs. */
  readonly blobBytes: number
  readonly manifestBytes: number
}

export interface RepositoryUsage extends Usage {
  readonly repository: string
  readonly manifests: number
  readonly tags: number
}

export interface UsageReader {
  /** Of a whole registry, or of one repository. Faults: `repositoryUnknown`, also for a registry that is not there. */
  usageOf(of: { readonly registry: string; readonly repository?: string }): Promise<Usage>
  /** Of each repository of a registry that holds anything, by name, page after page; each page is of one moment. */
  usageByRepository(registry: string): AsyncIterable<RepositoryUsage>
}

const pageRows = 500

/** Writers add to one of so many rows, by chance: on PostgreSQL two that meet on a row make each other repeat. */
const shards = 8

export function createUsageReader(db: Database): UsageReader {
  return {
    async usageOf({ registry, repository }) {
      return db.read(async (tables) => {
        const rows =
          repository === undefined
            ? await tables
                .selectFrom('registries')
                .leftJoin('registry_usage as counted', 'counted.registry_id', 'registries.id')
                .where('registries.name', '=', registry)
                .select(['counted.blob_bytes', 'counted.manifest_bytes'])
                .execute()
            : await repositoryAt(tables, { registry, repository })
                .leftJoin('repository_usage as counted', 'counted.repository_id', 'repositories.id')
                .select(['counted.blob_bytes', 'counted.manifest_bytes'])
                .execute()
        if (rows.length === 0) throw new Fault('repositoryUnknown', { repository: repository ?? '' })
        return {
          blobBytes: rows.reduce((sum, row) => sum + (row.blob_bytes ?? 0), 0),
          manifestBytes: rows.reduce((sum, row) => sum + (row.manifest_bytes ?? 0), 0),
        }
      })
    },

    async *usageByRepository(registry) {
      for (let last = '', full = true; full; ) {
        const rows = await db.read((tables) => repositoriesAfter(tables, registry, last))
        for (const { name, manifest_count: manifests, tags, blob_bytes, manifest_bytes } of rows) {
          const usage = { blobBytes: blob_bytes ?? 0, manifestBytes: manifest_bytes ?? 0 }
          if (manifests > 0 || usage.blobBytes > 0) yield { repository: name, manifests, tags: tags ?? 0, ...usage }
        }
        last = rows.at(-1)?.name ?? ''
        full = rows.length === pageRows
      }
    },
  }
}

const repositoriesAfter = (tables: Kysely<Tables>, registry: string, last: string) =>
  tables
    .selectFrom('registries')
    .innerJoin('repositories', 'repositories.registry_id', 'registries.id')
    .where('registries.name', '=', registry)
    .where('repositories.name', '>', last)
    .orderBy('repositories.name')
    .limit(pageRows)
    .select(({ selectFrom }) => {
      const counted = selectFrom('repository_usage as counted').whereRef(
        'counted.repository_id',
        '=',
        'repositories.id',
      )
      return [
        'repositories.name',
        'repositories.manifest_count',
        selectFrom('tags')
          .whereRef('tags.repository_id', '=', 'repositories.id')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .as('tags'),
        counted.select(({ fn }) => fn.sum<number>('counted.blob_bytes').as('sum')).as('blob_bytes'),
        counted.select(({ fn }) => fn.sum<number>('counted.manifest_bytes').as('sum')).as('manifest_bytes'),
      ]
    })
    .execute()

interface Addition {
  readonly of: number
  readonly shard: number
  readonly blob_bytes: number
  readonly manifest_bytes: number
}

const moreInRegistry = fixedQuery<Addition>()((db, param) =>
  db
    .insertInto('registry_usage')
    .values({
      registry_id: param('of'),
      shard: param('shard'),
      blob_bytes: param('blob_bytes'),
      manifest_bytes: param('manifest_bytes'),
    })
    .onConflict((conflict) =>
      conflict.columns(['registry_id', 'shard']).doUpdateSet((row) => ({
        blob_bytes: row('registry_usage.blob_bytes', '+', row.ref('excluded.blob_bytes')),
        manifest_bytes: row('registry_usage.manifest_bytes', '+', row.ref('excluded.manifest_bytes')),
      })),
    ),
)

const moreInRepository = fixedQuery<Addition>()((db, param) =>
  db
    .insertInto('repository_usage')
    .values({
      repository_id: param('of'),
      shard: param('shard'),
      blob_bytes: param('blob_bytes'),
      manifest_bytes: param('manifest_bytes'),
    })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'shard']).doUpdateSet((row) => ({
        blob_bytes: row('repository_usage.blob_bytes', '+', row.ref('excluded.blob_bytes')),
        manifest_bytes: row('repository_usage.manifest_bytes', '+', row.ref('excluded.manifest_bytes')),
      })),
    ),
)

/** Adds to a registry's count; numbers below zero take away. */
export async function addToRegistry(tables: Kysely<Tables>, registryId: number, change: Usage): Promise<void> {
  if (change.blobBytes === 0 && change.manifestBytes === 0) return
  await run(tables, moreInRegistry, { of: registryId, ...rowOf(change) })
}

/** Adds to a repository's count; numbers below zero take away. */
export async function addToRepository(tables: Kysely<Tables>, repositoryId: number, change: Usage): Promise<void> {
  if (change.blobBytes === 0 && change.manifestBytes === 0) return
  await run(tables, moreInRepository, { of: repositoryId, ...rowOf(change) })
}

const rowOf = ({ blobBytes, manifestBytes }: Usage) => ({
  shard: Math.floor(Math.random() * shards),
  blob_bytes: blobBytes,
  manifest_bytes: manifestBytes,
})
