/**
 * The end of manifests: with each go its tags and the manifests whose subject it was, one after another; the blobs and
 * children that it named are put up for review.
 *
 * A few go in one transaction. Where there are more, the rest is noted in `deleted_subjects` and follows in many small
 * ones, at once and, if this process dies, with the next collection. Meanwhile a reader finds the subject gone and fewer and
 * fewer of its referrers, each of them whole: what it would also find if they had been pushed before their subject. What is
 * pushed after the deletion stays.
 */
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import type { Clock } from '../../base/clock.ts'
import { timestamp } from '../../base/timestamp.ts'
import { thenBreathe } from './breath.ts'
import { reviewLinks } from './links.ts'
import { reviewChildren } from './needed-manifests.ts'
import { addToRegistry, addToRepository } from './usage.ts'

export interface ManifestRow {
  readonly id: number
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly updated_at: string
}

/** What one transaction removes at most: it is over in some milliseconds, and others wait no longer. */
const mostManifests = 50
const mostReferences = 2_000

export interface Removed {
  /** What has gone, the manifest itself first. */
  readonly gone: readonly ManifestRow[]
  /** Referrers are left: `finishRemovals` is to be called after the transaction. */
  readonly hasMore: boolean
}

/** Removes a manifest of a repository and, as far as one transaction goes, those that refer to it. */
export async function removeManifest(
  tables: Kysely<Tables>,
  repositoryId: number,
  manifest: ManifestRow,
  now: string,
): Promise<Removed> {
  const removal = new Removal(tables, repositoryId, now)
  await removal.remove(manifest)
  const left = await removal.removeReferrers([{ digest: manifest.digest, newest_referrer_id: Number.MAX_SAFE_INTEGER }])
  await removal.count()
  if (left.length === 0) return { gone: removal.gone, hasMore: false }
  const { newest } = await tables
    .selectFrom('manifests')
    .select(({ fn }) => fn.max('id').as('newest'))
    .executeTakeFirstOrThrow()
  await note(
    tables,
    repositoryId,
    left.map(({ digest }) => ({ digest, newest_referrer_id: Number(newest) })),
  )
  return { gone: removal.gone, hasMore: true }
}

/**
 * Removes what is noted in a repository's `deleted_subjects`, in small transactions, and yields what has gone. Safe to run
 * several times at once.
 */
export async function* finishRemovals(
  db: Database,
  clock: Clock,
  repositoryId: number,
  signal?: AbortSignal,
): AsyncGenerator<readonly ManifestRow[]> {
  while (!signal?.aborted) {
    const gone = await thenBreathe(() => removeSome(db, clock, repositoryId))
    if (gone === undefined) return
    yield gone
  }
}

/** Undefined when nothing is noted any more. */
function removeSome(db: Database, clock: Clock, repositoryId: number): Promise<readonly ManifestRow[] | undefined> {
  return db.write(
    async (tables) => {
      const subjects = await tables
        .selectFrom('deleted_subjects')
        .where('repository_id', '=', repositoryId)
        .orderBy('digest')
        .limit(mostManifests)
        .select(['digest', 'newest_referrer_id'])
        .execute()
      if (subjects.length === 0) return undefined
      const removal = new Removal(tables, repositoryId, timestamp(clock))
      const left = await removal.removeReferrers(subjects)
      await removal.count()
      const digests = subjects.map(({ digest }) => digest)
      await tables
        .deleteFrom('deleted_subjects')
        .where('repository_id', '=', repositoryId)
        .where('digest', 'in', digests)
        .execute()
      await note(tables, repositoryId, left)
      return removal.gone
    },
    { move: 'tidies' },
  )
}

/**
 * For a manifest that is pushed again while it may be about to go with a subject that was deleted meanwhile: removes the old
 * one, so that the new one, under a greater key, stays. Its own referrers follow as they would have. False when nothing
 * in the repository is about to go: then the old one stays.
 */
export async function removeIfGoing(
  tables: Kysely<Tables>,
  repositoryId: number,
  manifest: ManifestRow,
  now: string,
): Promise<boolean> {
  const going = await tables
    .selectFrom('deleted_subjects')
    .where('repository_id', '=', repositoryId)
    .where('newest_referrer_id', '>=', manifest.id)
    .select('newest_referrer_id')
    .limit(1)
    .executeTakeFirst()
  if (going === undefined) return false
  const removal = new Removal(tables, repositoryId, now)
  await removal.remove(manifest)
  await removal.count()
  await note(tables, repositoryId, [{ digest: manifest.digest, ...going }])
  return true
}

interface Subject {
  readonly digest: string
  readonly newest_referrer_id: number
}

async function note(tables: Kysely<Tables>, repositoryId: number, subjects: readonly Subject[]): Promise<void> {
  if (subjects.length === 0) return
  await tables
    .insertInto('deleted_subjects')
    .values(subjects.map((subject) => ({ repository_id: repositoryId, ...subject })))
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'digest'])
        .doUpdateSet((row) => ({ newest_referrer_id: row.ref('excluded.newest_referrer_id') }))
        .whereRef('excluded.newest_referrer_id', '>', 'deleted_subjects.newest_referrer_id'),
    )
    .execute()
}

/** One transaction's part of a removal. */
class Removal {
  readonly #tables: Kysely<Tables>
  readonly #repositoryId: number
  readonly #now: string
  readonly gone: ManifestRow[] = []
  #references = 0

  constructor(tables: Kysely<Tables>, repositoryId: number, now: string) {
    this.#tables = tables
    this.#repositoryId = repositoryId
    this.#now = now
  }

  async remove(manifest: ManifestRow): Promise<void> {
    const { id } = manifest
    const named = await this.#tables
      .selectFrom('manifest_references')
      .where('manifest_id', '=', id)
      .select(['role', 'digest'])
      .execute()
    await this.#tables.deleteFrom('manifests').where('id', '=', id).execute()
    await reviewLinks(
      this.#tables,
      this.#repositoryId,
      named.map(({ digest }) => digest),
      this.#now,
    )
    const children = named.filter(({ role }) => role === 'child').map(({ digest }) => digest)
    await reviewChildren(this.#tables, this.#repositoryId, children, this.#now)
    this.gone.push(manifest)
    this.#references += named.length
  }

  /** Removes referrers of the subjects and of one another; returns the subjects that may have some left. */
  async removeReferrers(subjects: readonly Subject[]): Promise<Subject[]> {
    const queue = [...subjects]
    for (let subject = queue[0]; subject !== undefined && this.#goesOn; subject = queue[0]) {
      const { digest, newest_referrer_id } = subject
      const [referrer] = await this.#tables
        .selectFrom('manifests')
        .where('repository_id', '=', this.#repositoryId)
        .where('subject_digest', '=', digest)
        .where('id', '<=', newest_referrer_id)
        .orderBy('digest')
        .limit(1)
        .select(['id', 'digest', 'size', 'updated_at'])
        .execute()
      if (referrer === undefined) {
        queue.shift()
      } else {
        await this.remove(referrer)
        queue.push({ digest: referrer.digest, newest_referrer_id })
      }
    }
    return queue
  }

  /** Whether one transaction may take more. */
  get #goesOn(): boolean {
    return this.gone.length < mostManifests && this.#references < mostReferences
  }

  async count(): Promise<void> {
    if (this.gone.length === 0) return
    const { registry_id } = await this.#tables
      .updateTable('repositories')
      .set((row) => ({
        manifest_count: row('manifest_count', '-', this.gone.length),
        updated_at: this.#now,
      }))
      .where('id', '=', this.#repositoryId)
      .returning('registry_id')
      .executeTakeFirstOrThrow()
    const change = { blobBytes: 0, manifestBytes: -this.gone.reduce((sum, { size }) => sum + size, 0) }
    await addToRepository(this.#tables, this.#repositoryId, change)
    await addToRegistry(this.#tables, registry_id, change)
  }
}
