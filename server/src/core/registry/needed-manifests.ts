/** Which manifests nobody may need any more: keeps `unneeded_manifests`, inside the caller's transaction. */
import type { ExpressionBuilder, Kysely } from 'kysely'
import { fixedQuery, run } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { batches } from '../../base/batches.ts'

/** Somebody has pushed it again: what makes it superfluous counts from now on. */
export async function renewManifest(tables: Kysely<Tables>, id: number, now: string): Promise<void> {
  await tables.updateTable('unneeded_manifests').set({ since: now }).where('manifest_id', '=', id).execute()
}

/** Takes a manifest out of the review queue, because it has a tag. */
export async function needManifest(tables: Kysely<Tables>, id: number): Promise<void> {
  await run(tables, needed, { id })
}

const needed = fixedQuery<{ readonly id: number }>()((db, param) =>
  db.deleteFrom('unneeded_manifests').where('manifest_id', '=', param('id')),
)

/** Takes the repository's manifests out of the review queue, because an index names them. */
export async function needChildren(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
): Promise<void> {
  for (const batch of batches(digests)) {
    await tables
      .deleteFrom('unneeded_manifests')
      .where('manifest_id', 'in', (query) =>
        query
          .selectFrom('manifests')
          .where('repository_id', '=', repositoryId)
          .where('digest', 'in', batch)
          .select('id'),
      )
      .execute()
  }
}

/** Puts a manifest into the review queue if nobody needs it: one that is new, or has just lost a tag. */
export async function reviewManifest(tables: Kysely<Tables>, id: number, now: string): Promise<void> {
  await queueUnneeded(tables, now, (manifests) => manifests('manifests.id', '=', id))
}

/** Puts the repository's manifests into the review queue that nobody needs: those that an index named, which has gone. */
export async function reviewChildren(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
  now: string,
): Promise<void> {
  for (const batch of batches(digests)) {
    await queueUnneeded(tables, now, (manifests) =>
      manifests.and([
        manifests('manifests.repository_id', '=', repositoryId),
        manifests('manifests.digest', 'in', batch),
      ]),
    )
  }
}

/** As `reviewChildren`, those that referred to a subject, which has gone. */
export async function reviewReferrers(
  tables: Kysely<Tables>,
  repositoryId: number,
  subject: string,
  now: string,
): Promise<void> {
  await queueUnneeded(tables, now, (manifests) =>
    manifests.and([
      manifests('manifests.repository_id', '=', repositoryId),
      manifests('manifests.subject_digest', '=', subject),
    ]),
  )
}

async function queueUnneeded(
  tables: Kysely<Tables>,
  now: string,
  which: (manifests: ExpressionBuilder<Tables, 'manifests'>) => ReturnType<typeof isNeeded>,
): Promise<void> {
  await tables
    .insertInto('unneeded_manifests')
    .columns(['manifest_id', 'since'])
    .expression((query) =>
      query
        .selectFrom('manifests')
        .where(which)
        .where((manifest) => manifest.not(isNeeded(manifest)))
        .select((manifest) => ['manifests.id', manifest.val(now).as('since')]),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Whether it has a tag, an index of its repository names it, or it refers to a subject that is there. */
export const isNeeded = (manifest: ExpressionBuilder<Tables, 'manifests'>) =>
  manifest.or([
    manifest.exists(
      manifest
        .selectFrom('tags')
        .whereRef('tags.manifest_id', '=', 'manifests.id')
        .select((row) => row.lit(1).as('one')),
    ),
    manifest.exists(
      manifest
        .selectFrom('manifest_references as named')
        .whereRef('named.digest', '=', 'manifests.digest')
        .whereRef('named.repository_id', '=', 'manifests.repository_id')
        .where('named.role', '=', 'child')
        .select((row) => row.lit(1).as('one')),
    ),
    manifest.exists(
      manifest
        .selectFrom('manifests as subject')
        .whereRef('subject.repository_id', '=', 'manifests.repository_id')
        .whereRef('subject.digest', '=', 'manifests.subject_digest')
        .select((row) => row.lit(1).as('one')),
    ),
  ])
