/** Where something is: a repository's name inside a registry's. */
import type { Kysely } from 'kysely'
import type { Tables } from '../../backends/db/tables/index.ts'
import { Fault } from '../../base/fault.ts'

export interface Place {
  /** Lower case. */
  readonly registry: string
  readonly repository: string
}

/** The repository's key, or undefined when nothing was ever pushed there. */
export async function findRepository(db: Kysely<Tables>, place: Place): Promise<number | undefined> {
  const row = await repositoryAt(db, place).select('repositories.id').executeTakeFirst()
  return row?.id
}

/** The repository's key; made when it is not there yet. Faults: `repositoryUnknown` when the registry is not there. */
export async function ensureRepository(db: Kysely<Tables>, place: Place, now: string): Promise<number> {
  const known = await findRepository(db, place)
  if (known !== undefined) return known
  const registry = await db.selectFrom('registries').select('id').where('name', '=', place.registry).executeTakeFirst()
  if (registry === undefined) throw new Fault('repositoryUnknown', { repository: place.repository })
  const made = await db
    .insertInto('repositories')
    .values({ registry_id: registry.id, name: place.repository, created_at: now, updated_at: now })
    .returning('id')
    .executeTakeFirstOrThrow()
  return made.id
}

/** The start of every query that begins at a repository's name. */
export function repositoryAt(db: Kysely<Tables>, place: Place) {
  return db
    .selectFrom('registries')
    .innerJoin('repositories', 'repositories.registry_id', 'registries.id')
    .where('registries.name', '=', place.registry)
    .where('repositories.name', '=', place.repository)
}
