/**
 * Which repository may read which blob: the only place that writes `repository_blobs`, so that counts, usage and review
 * queues follow. Every function runs inside the caller's transaction.
 *
 * On PostgreSQL, transactions that would miss each other must write a common row. Whoever makes a blob's first link or
 * removes its last one, or is about to store its bytes, writes its row in `blobs`; the collection deletes that row before
 * it touches the bytes, and holds it until they are gone. See collection/blobs.ts.
 */
import type { Digest } from '@berth/oci'
import type { ExpressionBuilder, Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery, ofLength, onlyRow, run } from '../../backends/db/fixed-query.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { batches } from '../../base/batches.ts'
import type { Clock } from '../../base/clock.ts'
import { timestamp } from '../../base/timestamp.ts'
import { addToRegistry, addToRepository } from './usage.ts'

interface Link {
  readonly repositoryId: number
  readonly digest: string
}

const newLink = fixedQuery<Link & { readonly now: string }>()((db, param) =>
  db
    .insertInto('repository_blobs')
    .values({
      repository_id: param('repositoryId'),
      digest: param('digest'),
      created_at: param('now'),
      unused_since: param('now'),
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('digest'),
)

const namedLink = fixedQuery<Link>()((db, param) =>
  db
    .updateTable('repository_blobs')
    .set({ unused_since: null })
    .where('repository_id', '=', param('repositoryId'))
    .where('digest', '=', param('digest'))
    .where('unused_since', 'is not', null)
    .where(isNamed),
)

const oneMoreInRegistry = fixedQuery<Link>()((db, param) =>
  db
    .insertInto('registry_blobs')
    .columns(['registry_id', 'digest', 'links'])
    .expression((query) =>
      query
        .selectFrom('repositories')
        .where('id', '=', param('repositoryId'))
        .select((row) => ['registry_id', row.val(param('digest')).as('digest'), row.lit(1).as('links')]),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['registry_id', 'digest'])
        .doUpdateSet((row) => ({ links: row('registry_blobs.links', '+', 1) })),
    )
    .returning(['registry_id', 'links']),
)

const linkedAgain = fixedQuery<{ readonly digest: string }>()((db, param) =>
  db.updateTable('blobs').set({ unlinked_since: null }).where('digest', '=', param('digest')).returning('size'),
)

/** Makes a stored blob readable in a repository. Repeating it renews a link that no manifest uses yet. */
export async function linkBlob(
  tables: Kysely<Tables>,
  repositoryId: number,
  digest: Digest,
  now: string,
): Promise<void> {
  const made = await run(tables, newLink, { repositoryId, digest, now })
  if (made.rows.length === 0) {
    await renew(tables, repositoryId, digest, now)
    return
  }
  // A sparse manifest may have named it before it came.
  await useNamedLink(tables, repositoryId, digest)
  const { registry_id: registryId, links } = onlyRow(await run(tables, oneMoreInRegistry, { repositoryId, digest }))
  const { size } = onlyRow(await run(tables, linkedAgain, { digest }))
  await addToRepository(tables, repositoryId, { blobBytes: size, manifestBytes: 0 })
  if (links === 1) await addToRegistry(tables, registryId, { blobBytes: size, manifestBytes: 0 })
}

/** How many links go by one statement. */
const unlinkedTogether = 100

interface Links {
  readonly repositoryId: number
  readonly digests: readonly string[]
}

const removedLinks = ofLength((length) =>
  fixedQuery<Links>()((db, param) =>
    db
      .deleteFrom('repository_blobs')
      .where('repository_id', '=', param('repositoryId'))
      .where('digest', 'in', param.list('digests', length))
      .returning('digest'),
  ),
)

const removedUnusedLinks = ofLength((length) =>
  fixedQuery<Links & { readonly before: string }>()((db, param) =>
    db
      .deleteFrom('repository_blobs')
      .where('repository_id', '=', param('repositoryId'))
      .where('digest', 'in', param.list('digests', length))
      .where('unused_since', '<', param('before'))
      .where((link) => link.not(isNamed(link)))
      .returning(['digest', 'unused_since']),
  ),
)

/**
 * Removes links that the repository has; the caller has made sure that no manifest of it needs them.
 * since: from when on the bytes count as unlinked where these were the last links.
 */
export async function unlinkBlobs(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
  since: string,
): Promise<void> {
  for (const batch of batches(digests, unlinkedTogether)) {
    const { rows } = await run(tables, removedLinks(batch.length), { repositoryId, digests: batch })
    await afterUnlink(tables, repositoryId, digestsOf(rows), since)
  }
}

/**
 * Removes those of the repository's links that no manifest of it names, and none has since a moment. What is then linked
 * nowhere counts as unlinked since that of its group which was unused last. Returns the digests of what has gone.
 */
export async function unlinkUnused(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
  before: string,
): Promise<string[]> {
  const gone: string[] = []
  for (const batch of batches(digests, unlinkedTogether)) {
    const { rows } = await run(tables, removedUnusedLinks(batch.length), { repositoryId, digests: batch, before })
    const since = rows.reduce((last, { unused_since: one }) => (one !== null && one > last ? one : last), '')
    await afterUnlink(tables, repositoryId, digestsOf(rows), since)
    gone.push(...digestsOf(rows))
  }
  return gone
}

const registryOf = fixedQuery<{ readonly repositoryId: number }>()((db, param) =>
  db.selectFrom('repositories').where('id', '=', param('repositoryId')).select('registry_id'),
)

const sizes = ofLength((length) =>
  fixedQuery<{ readonly digests: readonly string[] }>()((db, param) =>
    db.selectFrom('blobs').where('digest', 'in', param.list('digests', length)).select(['digest', 'size']),
  ),
)

interface InRegistry {
  readonly registryId: number
  readonly digests: readonly string[]
}

const lastInRegistry = ofLength((length) =>
  fixedQuery<InRegistry>()((db, param) =>
    db
      .deleteFrom('registry_blobs')
      .where('registry_id', '=', param('registryId'))
      .where('digest', 'in', param.list('digests', length))
      .where('links', '=', 1)
      .returning('digest'),
  ),
)

const oneLessInRegistry = ofLength((length) =>
  fixedQuery<InRegistry>()((db, param) =>
    db
      .updateTable('registry_blobs')
      .set((row) => ({ links: row('links', '-', 1) }))
      .where('registry_id', '=', param('registryId'))
      .where('digest', 'in', param.list('digests', length)),
  ),
)

const nowhereLinked = ofLength((length) =>
  fixedQuery<{ readonly digests: readonly string[]; readonly since: string }>()((db, param) =>
    db
      .updateTable('blobs')
      .set({ unlinked_since: param('since') })
      .where('digest', 'in', param.list('digests', length))
      .where((blob) => blob.not(isLinked(blob))),
  ),
)

/** What follows from links that are gone, so many at most as go by one statement. */
async function afterUnlink(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
  since: string,
): Promise<void> {
  if (digests.length === 0) return
  const { registry_id: registryId } = onlyRow(await run(tables, registryOf, { repositoryId }))
  const { rows } = await run(tables, sizes(digests.length), { digests })
  const sizeOf = new Map(rows.map((row) => [row.digest, row.size]))
  const bytesOf = (some: readonly string[]) => some.reduce((sum, digest) => sum + (sizeOf.get(digest) ?? 0), 0)
  await addToRepository(tables, repositoryId, { blobBytes: -bytesOf(digests), manifestBytes: 0 })
  const gone = digestsOf((await run(tables, lastInRegistry(digests.length), { registryId, digests })).rows)
  if (gone.length < digests.length) {
    const last = new Set(gone)
    const others = digests.filter((digest) => !last.has(digest))
    await run(tables, oneLessInRegistry(others.length), { registryId, digests: others })
  }
  if (gone.length === 0) return
  await addToRegistry(tables, registryId, { blobBytes: -bytesOf(gone), manifestBytes: 0 })
  await run(tables, nowhereLinked(gone.length), { digests: gone, since })
}

const digestsOf = (rows: readonly { readonly digest: string }[]): string[] => rows.map(({ digest }) => digest)

/**
 * For whoever is about to tell a client that a blob is there, so that the client has time to name it in a manifest: renews
 * a link that nothing has used for half the grace. False when the link has gone meanwhile: then the blob is not there.
 * unusedSince: the link's, as it was just read. Costs nothing but for links in the review queue.
 */
export type LinkRenewal = (repositoryId: number, digest: Digest, unusedSince: string | null) => Promise<boolean>

/** graceMs: how long the collection leaves a link that no manifest names. */
export function createLinkRenewal(db: Database, clock: Clock, graceMs: number): LinkRenewal {
  return async (repositoryId, digest, unusedSince) => {
    if (unusedSince === null || clock.now() - Date.parse(unusedSince) <= graceMs / 2) return true
    return db.write(
      async (tables) => {
        const link = await tables
          .selectFrom('repository_blobs')
          .where('repository_id', '=', repositoryId)
          .where('digest', '=', digest)
          .select('digest')
          .executeTakeFirst()
        if (link !== undefined) await renew(tables, repositoryId, digest, timestamp(clock))
        return link !== undefined
      },
      { sync: false },
    )
  }
}

async function renew(tables: Kysely<Tables>, repositoryId: number, digest: Digest, now: string): Promise<void> {
  await tables
    .updateTable('repository_blobs')
    .set({ unused_since: now })
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', digest)
    .where('unused_since', 'is not', null)
    .execute()
}

/** Takes the repository's links out of the review queue, because a manifest names them. */
export async function useLinks(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
): Promise<void> {
  for (const batch of batches(digests)) {
    await tables
      .updateTable('repository_blobs')
      .set({ unused_since: null })
      .where('repository_id', '=', repositoryId)
      .where('digest', 'in', batch)
      .where('unused_since', 'is not', null)
      .execute()
  }
}

/** Takes a link out of the review queue if a manifest names it. */
export async function useNamedLink(tables: Kysely<Tables>, repositoryId: number, digest: string): Promise<void> {
  await run(tables, namedLink, { repositoryId, digest })
}

/** Puts the repository's links into the review queue that no manifest names any more. */
export async function reviewLinks(
  tables: Kysely<Tables>,
  repositoryId: number,
  digests: readonly string[],
  now: string,
): Promise<void> {
  for (const batch of batches(digests)) {
    await tables
      .updateTable('repository_blobs')
      .set({ unused_since: now })
      .where('repository_id', '=', repositoryId)
      .where('digest', 'in', batch)
      .where('unused_since', 'is', null)
      .where((link) => link.not(isNamed(link)))
      .execute()
  }
}

/**
 * For whoever is about to store a blob's bytes. Changes nothing, but excludes a collection of the blob; a digest without a
 * row is nobody's to collect.
 */
export async function touchBlob(tables: Kysely<Tables>, digest: string): Promise<void> {
  await run(tables, touched, { digest })
}

const touched = fixedQuery<{ readonly digest: string }>()((db, param) =>
  db
    .updateTable('blobs')
    .set((row) => ({ size: row.ref('size') }))
    .where('digest', '=', param('digest')),
)

/** Whether a manifest of the link's repository names it. */
export const isNamed = (link: ExpressionBuilder<Tables, 'repository_blobs'>) =>
  link.exists(
    link
      .selectFrom('manifest_references as named')
      .whereRef('named.digest', '=', 'repository_blobs.digest')
      .whereRef('named.repository_id', '=', 'repository_blobs.repository_id')
      .select((row) => row.lit(1).as('one')),
  )

/** Whether any repository links the blob. */
export const isLinked = (blob: ExpressionBuilder<Tables, 'blobs'>) =>
  blob.exists(
    blob
      .selectFrom('repository_blobs as link')
      .whereRef('link.digest', '=', 'blobs.digest')
      .select((row) => row.lit(1).as('one')),
  )
