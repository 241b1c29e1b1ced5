/**
 * The statements of upload sessions, built once. `uploads.ts` says what they are for; what they return tells whether they found
 * their row.
 */
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

interface Claim {
  readonly session: string
  readonly writer: string
  readonly until: string
}

/** For a session that nobody holds. Returns it as it is from now on. */
export const claimed = fixedQuery<Claim & { readonly now: string }>()((db, param) =>
  db
    .updateTable('upload_sessions')
    .set({ writer: param('writer'), writer_until: param('until') })
    .where('id', '=', param('session'))
    .where((row) => row.or([row('writer', 'is', null), row('writer_until', '<', param('now'))]))
    .returning(['id', 'store_session', 'offset', 'committing_digest']),
)

export const renewed = fixedQuery<Claim>()((db, param) =>
  db
    .updateTable('upload_sessions')
    .set({ writer_until: param('until') })
    .where('id', '=', param('session'))
    .where('writer', '=', param('writer')),
)

/** What the session is about to be closed with; nothing where an earlier request has said so already. */
export const intended = fixedQuery<{ readonly session: string; readonly digest: string }>()((db, param) =>
  db
    .updateTable('upload_sessions')
    .set({ committing_digest: param('digest') })
    .where('id', '=', param('session'))
    .where('committing_digest', 'is', null),
)

interface Written {
  readonly session: string
  readonly writer: string
}

/** nextWriter, until: null gives the claim back. */
export const recorded = fixedQuery<
  Written & {
    readonly offset: number
    readonly committing: string | null
    readonly nextWriter: string | null
    readonly until: string | null
    readonly now: string
  }
>()((db, param) =>
  db
    .updateTable('upload_sessions')
    .set({ offset: param('offset'), committing_digest: param('committing'), updated_at: param('now') })
    .set({ writer: param('nextWriter'), writer_until: param('until') })
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

interface Beginning extends Place, Claim {
  readonly storeSession: string
  readonly committing: string | null
  readonly now: string
}

/** Not where the session has a row already. */
export const begun = fixedQuery<Beginning>()((db, param) =>
  db
    .insertInto('upload_sessions')
    .columns([
      ...(['id', 'registry_id', 'repository', 'store_session', 'offset', 'committing_digest'] as const),
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
          row.val(param('committing')).as('committing_digest'),
          row.val(param('writer')).as('writer'),
          row.val(param('until')).as('writer_until'),
          row.val(param('now')).as('created_at'),
          row.val(param('now')).as('updated_at'),
        ]),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning('id'),
)

interface Ended {
  readonly madeIn: number
  readonly session: string
}

export const wasEnded = fixedQuery<Ended>()((db, param) =>
  db.selectFrom('ended_uploads').where('made_in', '=', param('madeIn')).where('id', '=', param('session')).select('id'),
)

export const ended = fixedQuery<Ended>()((db, param) =>
  db
    .insertInto('ended_uploads')
    .values({ made_in: param('madeIn'), id: param('session') })
    .onConflict((conflict) => conflict.doNothing()),
)

export const forgotten = fixedQuery<{ readonly before: number }>()((db, param) =>
  db.deleteFrom('ended_uploads').where('made_in', '<', param('before')),
)

export const registryNamed = fixedQuery<{ readonly registry: string }>()((db, param) =>
  db.selectFrom('registries').where('name', '=', param('registry')).select('id'),
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
