/** The statements of upload sessions, built once. `uploads.ts` says what they are for; what they return tells whether they found their row. */
import { fixedQuery } from '../../backends/db/fixed-query.ts'
import type { Place } from './place.ts'

export const ownSession = fixedQuery<Place & { readonly session: string }>()((db, param) =>
  db
    .selectFrom('upload_sessions')
    .innerJoin('registries', 'registries.id', 'upload_sessions.registry_id')
    .where('upload_sessions.id', '=', param('session'))
    .where('registries.name', '=', param('registry'))
    .where('upload_sessions.repository', '=', param('repository'))
    .select(['upload_sessions.id', 'store_session', 'offset', 'committing_digest', 'writer', 'writer_until']),
)

interface Claiming {
  readonly session: string
  readonly from: string | null
  readonly to: string | null
  readonly until: string | null
}

export const claimed = fixedQuery<Claiming>()((db, param) =>
  db
    .updateTable('upload_sessions')
    .set({ writer: param('to'), writer_until: param('until') })
    .where('id', '=', param('session'))
    .where('writer', 'is not distinct from', param('from'))
    .returning('id'),
)

interface Written {
  readonly session: string
  readonly writer: string | null
}

export const recorded = fixedQuery<
  Written & { readonly offset: number; readonly committing: string | null; readonly now: string }
>()((db, param) =>
  db
    .updateTable('upload_sessions')
    .set({ offset: param('offset'), committing_digest: param('committing'), updated_at: param('now') })
    .where('id', '=', param('session'))
    .where('writer', '=', param('writer'))
    .returning('id'),
)

export const finished = fixedQuery<Written & { readonly digest: string }>()((db, param) =>
  db
    .deleteFrom('upload_sessions')
    .where('id', '=', param('session'))
    .where('writer', '=', param('writer'))
    .where('committing_digest', '=', param('digest'))
    .returning('id'),
)

interface Beginning extends Place {
  readonly session: string
  readonly storeSession: string
  readonly writer: string | null
  readonly until: string | null
  readonly now: string
}

export const begun = fixedQuery<Beginning>()((db, param) =>
  db
    .insertInto('upload_sessions')
    .columns([
      ...(['id', 'registry_id', 'repository', 'store_session', 'offset'] as const),
      ...(['writer', 'writer_until', 'created_at', 'updated_at'] as const),
    ])
    .expression((query) =>
      query
        .selectFrom('registries')
        .where('registries.name', '=', param('registry'))
        .select((row) => [
          row.val(param('session')).as('id'),
          'registries.id as registry_id',
          row.val(param('repository')).as('repository'),
          row.val(param('storeSession')).as('store_session'),
          row.lit(0).as('offset'),
          row.val(param('writer')).as('writer'),
          row.val(param('until')).as('writer_until'),
          row.val(param('now')).as('created_at'),
          row.val(param('now')).as('updated_at'),
        ]),
    )
    .returning('id'),
)

export const stored = fixedQuery<{ readonly digest: string; readonly size: number; readonly now: string }>()(
  (db, param) =>
    db
      .insertInto('blobs')
      .values({ digest: param('digest'), size: param('size'), created_at: param('now'), scrubbed_at: param('now') })
      .onConflict((conflict) =>
        conflict.column('digest').doUpdateSet((row) => ({
          size: row.ref('excluded.size'),
          damaged_at: null,
          scrubbed_at: row.ref('excluded.scrubbed_at'),
        })),
      ),
)
