/** Where something is: a repository's name inside a registry's. */
import type { Kysely } from 'kysely'
import { fixedQuery, run } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { Fault } from '../../base/fault.ts'

export interface Place {
  /** Lower case. */
  readonly registry: string
  readonly repository: string
}

/** The repository's key, or undefined when nothing was ever pushed there. */
export async function findRepository(db: Kysely<Tables>, place: Place): Promise<number | undefined> {
  const { rows } = await run(db, repositoryId, place)
  return rows[0]?.id
}

const repositoryId = fixedQuery<Place>()((db, param) =>
  repositoryAt(db, { registry: param('registry'), repository: param('repository') }).select('repositories.id'),
)

const newRepository = fixedQuery<Place & { readonly now: string }>()((db, param) =>
  db
    .insertInto('repositories')
    .columns(['registry_id', 'name', 'created_at', 'updated_at'])
    .expression((query) =>
      query
        .selectFrom('registries')
        .where('registries.name', '=', param('registry'))
        .select((row) => [
          'registries.id',
          row.val(param('repository')).as('name'),
          row.val(param('now')).as('created_at'),
          row.val(param('now')).as('updated_at'),
        ]),
    )
    .returning('id'),
)

/** The repository's key; made when it is not there yet. Faults: `repositoryUnknown` when the registry is not there. */
export async function ensureRepository(db: Kysely<Tables>, place: Place, now: string): Promise<number> {
  const known = await findRepository(db, place)
  if (known !== undefined) return known
  const { rows } = await run(db, newRepository, { ...place, now })
  if (rows[0] === undefined) throw new Fault('repositoryUnknown', { repository: place.repository })
  return rows[0].id
}

/** The start of every query that begins at a repository's name. */
export function repositoryAt(db: Kysely<Tables>, place: Place) {
  return db
    .selectFrom('registries')
    .innerJoin('repositories', 'repositories.registry_id', 'registries.id')
    .where('registries.name', '=', place.registry)
    .where('repositories.name', '=', place.repository)
}
