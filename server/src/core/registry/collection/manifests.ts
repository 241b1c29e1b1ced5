/** Manifests that follow a deleted one, and, on request, those that nobody needs. */
import type { Kysely } from 'kysely'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { batches } from '../../../base/batches.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { thenBreathe } from '../breath.ts'
import { finishRemovals, type ManifestRow, type Removed, removeManifest } from '../manifest-removal.ts'
import { isNeeded } from '../needed-manifests.ts'
import { type Batch, type Cutoffs, type Garbage, type Parts, planned, type Reason, type Step } from './step.ts'

/** What a deletion that was too large for one transaction has left, because its process died. Work: repositories. */
export function leftReferrers({ db, clock, signal }: Parts): Step<Repository> {
  async function* plan(): AsyncGenerator<Batch<Repository>> {
    for (let last = { repository_id: -1, digest: '' }; ; ) {
      const subject = await db.read((tables) =>
        tables
          .selectFrom('deleted_subjects')
          .innerJoin('repositories', 'repositories.id', 'deleted_subjects.repository_id')
          .innerJoin('registries', 'registries.id', 'repositories.registry_id')
          .where(({ eb, refTuple, tuple }) =>
            eb(
              refTuple('deleted_subjects.repository_id', 'deleted_subjects.digest'),
              '>',
              tuple(last.repository_id, last.digest),
            ),
          )
          .orderBy('deleted_subjects.repository_id')
          .orderBy('deleted_subjects.digest')
          .limit(1)
          .select(['deleted_subjects.repository_id', 'deleted_subjects.digest', 'newest_referrer_id'])
          .select(['repositories.name as repository', 'registries.name as registry'])
          .executeTakeFirst(),
      )
      if (subject === undefined) return
      last = subject
      const repository = { id: subject.repository_id, name: `${subject.registry}/${subject.repository}` }
      // Also where none is left but the note itself.
      yield { work: [repository], garbage: [] }
      for await (const referrers of referrersOf(db, repository.id, subject.digest, subject.newest_referrer_id)) {
        yield { work: [], garbage: garbageOf('referrer of a deleted manifest', repository, referrers) }
      }
    }
  }

  async function* carryOut(work: readonly Repository[]): AsyncGenerator<Garbage[]> {
    for (const repository of work) {
      for await (const gone of finishRemovals(db, clock, repository.id, signal)) {
        yield garbageOf('referrer of a deleted manifest', repository, gone)
      }
    }
  }

  return { plan, carryOut }
}

interface Repository {
  readonly id: number
  /** With its registry's. */
  readonly name: string
}

const garbageOf = (reason: Reason, repository: Repository, manifests: readonly ManifestRow[]): Garbage[] =>
  manifests.map(({ digest, size, updated_at }) => ({
    reason,
    name: digest,
    repository: repository.name,
    since: updated_at,
    bytes: size,
  }))

interface Untagged {
  readonly repository: Repository
  readonly manifest: ManifestRow
  readonly garbage: Garbage
}

/** Manifests without a tag, named by no index, without a subject that is there; with them go their referrers. */
export function untaggedManifests({ db, clock, signal }: Parts, cutoffs: Cutoffs): Step<Untagged> {
  const { untagged: cutoff } = cutoffs

  async function* plan(): AsyncGenerator<Batch<Untagged>> {
    if (cutoff === undefined) return
    for (let last = { since: '', id: -1 }; ; ) {
      const rows = await db.read((tables) =>
        tables
          .selectFrom('unneeded_manifests')
          .innerJoin('manifests', 'manifests.id', 'unneeded_manifests.manifest_id')
          .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
          .innerJoin('registries', 'registries.id', 'repositories.registry_id')
          .where('unneeded_manifests.since', '<', cutoff)
          .where(({ eb, refTuple, tuple }) =>
            eb(refTuple('unneeded_manifests.since', 'unneeded_manifests.manifest_id'), '>', tuple(last.since, last.id)),
          )
          .orderBy('unneeded_manifests.since')
          .orderBy('unneeded_manifests.manifest_id')
          .limit(planned)
          .select(['unneeded_manifests.since', 'manifests.id', 'manifests.digest', 'manifests.size'])
          .select(['manifests.repository_id', 'manifests.updated_at'])
          .select(['repositories.name as repository', 'registries.name as registry'])
          .select((row) => isNeeded(row).as('needed'))
          .execute(),
      )
      last = rows.at(-1) ?? last
      if (rows.length === 0) return
      const work = rows.filter((row) => !row.needed).map(untaggedOf)
      yield { work, garbage: work.map(({ garbage }) => garbage) }
      for (const { repository, manifest } of work) {
        for await (const page of referrersOf(db, repository.id, manifest.digest, Number.MAX_SAFE_INTEGER)) {
          yield { work: [], garbage: garbageOf('referrer of an untagged manifest', repository, page) }
        }
      }
    }
  }

  async function* carryOut(work: readonly Untagged[]): AsyncGenerator<Garbage[]> {
    for (const group of fewTogether(work)) {
      if (signal.aborted) return
      const { repository } = group[0]!
      const removals = await thenBreathe(() => removeAll(group))
      for (const { garbage, gone } of removals) {
        if (gone.length > 0)
          yield [garbage, ...garbageOf('referrer of an untagged manifest', repository, gone.slice(1))]
      }
      if (!removals.some(({ hasMore }) => hasMore)) continue
      for await (const more of finishRemovals(db, clock, repository.id, signal)) {
        yield garbageOf('referrer of an untagged manifest', repository, more)
      }
    }
  }

  function removeAll(group: readonly Untagged[]) {
    return db.write(
      async (tables) => {
        const removals: (Removed & { readonly garbage: Garbage })[] = []
        for (const { repository, manifest, garbage } of group)
          removals.push({ ...(await remove(tables, repository.id, manifest.id)), garbage })
        return removals
      },
      { move: 'tidies' },
    )
  }

  /** In the transaction that has looked once more whether nobody needs it. */
  async function remove(tables: Kysely<Tables>, repositoryId: number, id: number): Promise<Removed> {
    const still = await tables
      .selectFrom('unneeded_manifests')
      .innerJoin('manifests', 'manifests.id', 'unneeded_manifests.manifest_id')
      .where('unneeded_manifests.manifest_id', '=', id)
      .where('unneeded_manifests.since', '<', cutoff ?? '')
      .where((row) => row.not(isNeeded(row)))
      .select(['manifests.id', 'manifests.digest', 'manifests.size', 'manifests.updated_at'])
      .executeTakeFirst()
    return still === undefined
      ? { gone: [], hasMore: false }
      : removeManifest(tables, repositoryId, still, timestamp(clock))
  }

  return { plan, carryOut }
}

/** How many manifests go in one transaction; each of them has its own statements. */
const mostTogether = 8

/** Each group is of one repository. */
function* fewTogether(work: readonly Untagged[]): Generator<Untagged[], void, undefined> {
  for (const some of Map.groupBy(work, ({ repository }) => repository.id).values()) {
    yield* batches(some, mostTogether)
  }
}

function untaggedOf(row: {
  readonly id: number
  readonly digest: string
  readonly size: number
  readonly updated_at: string
  readonly since: string
  readonly repository_id: number
  readonly repository: string
  readonly registry: string
}): Untagged {
  const repository = { id: row.repository_id, name: `${row.registry}/${row.repository}` }
  const garbage = {
    reason: 'untagged manifest' as const,
    name: row.digest,
    repository: repository.name,
    since: row.since,
    bytes: row.size,
  }
  return { repository, manifest: row, garbage }
}

/** The manifests that refer to a subject, and those that refer to them, a page at a time. newestId: none with a greater key. */
async function* referrersOf(
  db: Database,
  repositoryId: number,
  subject: string,
  newestId: number,
): AsyncGenerator<ManifestRow[]> {
  for (let last = ''; ; ) {
    const rows = await db.read((tables) =>
      tables
        .selectFrom('manifests')
        .where('repository_id', '=', repositoryId)
        .where('subject_digest', '=', subject)
        .where('digest', '>', last)
        .where('id', '<=', newestId)
        .orderBy('digest')
        .limit(planned)
        .select(['id', 'digest', 'size', 'updated_at'])
        .execute(),
    )
    last = rows.at(-1)?.digest ?? last
    if (rows.length === 0) return
    yield rows
    for (const { digest } of rows) yield* referrersOf(db, repositoryId, digest, newestId)
  }
}
