/**
 * Links that no manifest uses, and blobs that no repository links.
 *
 * **Bytes go in the transaction that takes the blob's row**, so that whoever is about to store or link the same digest
 * comes before it or after it. What can happen at the same time, in any process:
 *
 * - *A push of the digest.* Before its bytes reach their place, it writes `committing_digest` and the blob's row, in one
 *   transaction. If that comes first, the collection finds the session and leaves the blob. If the collection is first, the
 *   push waits for it (a single writer on SQLite, the row's lock on PostgreSQL), and the bytes are gone before the push puts
 *   its own there. Its last transaction links the blob only if the session is still its own and still says so: from the first
 *   to the last it has kept the collection away. (The first is not synced; a database that crashed may have lost it.)
 * - *A mount, or a manifest that names the blob.* Both need a link in the registry or repository, and a blob with a link is
 *   not collected. The last link may be removed meanwhile; then that transaction has written the blob's row, and the mount,
 *   which writes it too, is repeated by PostgreSQL and finds no link any more.
 * - *A client that was told "it is there".* Every such answer renews a link that has been unused for half the grace.
 * - *A delete fails.* The others of its group are waited for before the transaction ends: none goes on without the lock. Then
 *   the group is repeated without those that failed: one file that cannot be removed keeps nobody else's bytes.
 * - *The transaction fails after bytes have gone* (a delete, a conflict, a lost connection, a power cut). Then a row without
 *   links and without bytes is left. Nobody can read it; a push of the digest puts the bytes back before it links it; the
 *   next collection takes the row.
 * - *A power cut after the commit.* File systems may bring the bytes back: bytes that nobody names, found by `berth fsck`.
 *   And the other way round: others see a commit before it is on the disk, on PostgreSQL where it is not synced, on SQLite
 *   always. If bytes went because of an unlink that a power cut takes back, a linked blob would be without them. So what was
 *   found to be unlinked is made durable before its bytes go, and what came to be unlinked since then is not old enough
 *   (`cutoffs` are from before).
 */
import type { ExpressionBuilder, Kysely } from 'kysely'
import { fixedQuery, ofLength, run } from '../../../backends/db/fixed-query.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { batches } from '../../../base/batches.ts'
import { paced } from '../breath.ts'
import { isLinked, unlinkUnused } from '../links.ts'
import { storedDigest } from '../stored-digest.ts'
import {
  type Batch,
  type Cutoffs,
  type Garbage,
  inOrder,
  NotAllDone,
  type Parts,
  type PlanOptions,
  planned,
  type Step,
} from './step.ts'
import { isAbandoned } from './uploads.ts'

interface UnusedLink {
  readonly repositoryId: number
  readonly digest: string
  readonly garbage: Garbage
}

/** How many go in one transaction: no files are moved in it. */
const linksTogether = 100
const filesTogether = 50
/** With these numbers, both steps together remove 1,110 blobs a second: more than a thousand, and not much more. */
const everyMs = 30

/** Links that no manifest of their repository has named for the grace. Their bytes are what the next step is about. */
export function unusedLinks({ db, signal }: Parts, cutoffs: Cutoffs): Step<UnusedLink> {
  const write = paced(db, everyMs)

  async function* plan({ following }: PlanOptions): AsyncGenerator<Batch<UnusedLink>> {
    const bytesStay = await db.read(areOthersToo)
    for (let last = { unused_since: '', repository_id: -1, digest: '' }; ; ) {
      const rows = await db.read((tables) =>
        tables
          .selectFrom('repository_blobs')
          .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
          .innerJoin('registries', 'registries.id', 'repositories.registry_id')
          .where('repository_blobs.unused_since', '<', cutoffs.unused)
          .where(({ eb, refTuple, tuple }) =>
            eb(
              refTuple('repository_blobs.unused_since', 'repository_blobs.repository_id', 'repository_blobs.digest'),
              '>',
              tuple(last.unused_since, last.repository_id, last.digest),
            ),
          )
          .orderBy('repository_blobs.unused_since')
          .orderBy('repository_blobs.repository_id')
          .orderBy('repository_blobs.digest')
          .limit(planned)
          .select(['unused_since', 'repository_blobs.repository_id', 'repository_blobs.digest'])
          .select(['repositories.name as repository', 'registries.name as registry'])
          .$if(following && !bytesStay, (some) => some.select((row) => bytesThatFollow(row, cutoffs).as('bytes')))
          .execute(),
      )
      last = lastOf(rows) ?? last
      if (rows.length === 0) return
      const work = rows.map((row) => ({
        repositoryId: row.repository_id,
        digest: row.digest,
        garbage: {
          reason: 'unused link' as const,
          name: row.digest,
          repository: `${row.registry}/${row.repository}`,
          since: row.unused_since ?? '',
          bytes: 0,
        },
      }))
      const blobs = rows.flatMap(({ digest, unused_since, bytes }) =>
        typeof bytes === 'number'
          ? [{ reason: 'unlinked blob' as const, name: digest, since: unused_since ?? '', bytes }]
          : [],
      )
      yield { work, garbage: [...work.map(({ garbage }) => garbage), ...blobs] }
    }
  }

  async function* carryOut(work: readonly UnusedLink[]): AsyncGenerator<Garbage[]> {
    for (const group of batches(work, linksTogether)) {
      if (signal.aborted) return
      yield await unlink(group)
    }
  }

  function unlink(group: readonly UnusedLink[]): Promise<Garbage[]> {
    return write(
      async (tables) => {
        const gone: Garbage[] = []
        for (const [repositoryId, links] of Map.groupBy(group, (link) => link.repositoryId)) {
          const digests = links.map(({ digest }) => digest)
          // The blobs have had their grace together with the links.
          const unlinked = new Set(await unlinkUnused(tables, repositoryId, digests, cutoffs.unused))
          gone.push(...links.filter(({ digest }) => unlinked.has(digest)).map(({ garbage }) => garbage))
        }
        return gone
      },
      { sync: false, move: 'tidies' }, // the next step makes it durable before any bytes go
    )
  }

  return {
    plan: (options) => inOrder(plan(options), ({ repositoryId, digest }) => `${repositoryId} ${digest}`),
    carryOut,
  }
}

/** Blobs that no repository has linked for the grace, and that no upload is about to link: their rows and bytes. */
export function unlinkedBlobs({ db, store, signal }: Parts, cutoffs: Cutoffs): Step<Garbage> {
  const together = store.deletesTogether ?? filesTogether
  const write = paced(db, (everyMs * together) / filesTogether)

  async function* plan(): AsyncGenerator<Batch<Garbage>> {
    if (await db.read(areOthersToo)) return
    for (let last = { unlinked_since: '', digest: '' }; ; ) {
      const rows = await db.read((tables) =>
        tables
          .selectFrom('blobs')
          .where('unlinked_since', '<', cutoffs.unused)
          .where(({ eb, refTuple, tuple }) =>
            eb(refTuple('unlinked_since', 'digest'), '>', tuple(last.unlinked_since, last.digest)),
          )
          .orderBy('unlinked_since')
          .orderBy('digest')
          .limit(planned)
          .select(['digest', 'size', 'unlinked_since'])
          .select((row) => isBeingCommitted(row, cutoffs).as('committing'))
          .execute(),
      )
      last = lastOf(rows) ?? last
      if (rows.length === 0) return
      const garbage = rows
        .filter((row) => !row.committing)
        .map((row) => ({
          reason: 'unlinked blob' as const,
          name: row.digest,
          since: row.unlinked_since ?? '',
          bytes: row.size,
        }))
      yield { work: garbage, garbage }
    }
  }

  async function* carryOut(work: readonly Garbage[]): AsyncGenerator<Garbage[]> {
    await db.makeDurable()
    let failure: DeletesFailed | undefined
    for (const group of batches(work, together)) {
      if (signal.aborted) return
      const done = await removeWhatGoes(group)
      failure ??= done.failure
      yield done.gone
      await store.freed?.()
    }
    if (failure !== undefined) throw failure
  }

  /** Throws where none goes: then it is not about one file. */
  async function removeWhatGoes(group: readonly Garbage[]): Promise<{ gone: Garbage[]; failure?: DeletesFailed }> {
    try {
      return { gone: await remove(group) }
    } catch (error) {
      if (!(error instanceof DeletesFailed)) throw error
      const others = group.filter(({ name }) => !error.digests.has(name))
      if (others.length === 0) throw error.cause
      const { gone } = await removeWhatGoes(others)
      return { gone, failure: error }
    }
  }

  function remove(group: readonly Garbage[]): Promise<Garbage[]> {
    return write(
      async (tables) => {
        if (await areOthersToo(tables)) return []
        const digests = group.map(({ name }) => name)
        const { rows } = await run(tables, removed(digests.length), { digests, before: cutoffs.unused })
        // Inside the transaction, on purpose; see above.
        const deletes = await Promise.allSettled(rows.map(({ digest }) => store.delete(storedDigest(digest))))
        const failures = rows.flatMap(({ digest }, index) => {
          const outcome = deletes[index]
          return outcome?.status === 'rejected' ? [{ digest, reason: outcome.reason as unknown }] : []
        })
        if (failures.length > 0) throw new DeletesFailed(failures)
        const gone = new Set(rows.map(({ digest }) => digest))
        return group.filter(({ name }) => gone.has(name))
      },
      { sync: false, move: 'tidies' },
    )
  }

  return { plan: () => inOrder(plan(), ({ name }) => name), carryOut }
}

/** cause: that of the first. */
class DeletesFailed extends NotAllDone {
  readonly digests: ReadonlySet<string>

  constructor(failures: readonly { readonly digest: string; readonly reason: unknown }[]) {
    super(failures[0]?.reason)
    this.digests = new Set(failures.map(({ digest }) => digest))
  }
}

const removed = ofLength((length) =>
  fixedQuery<{ readonly digests: readonly string[]; readonly before: string }>()((db, param) =>
    db
      .deleteFrom('blobs')
      .where('digest', 'in', param.list('digests', length))
      .where('unlinked_since', '<', param('before'))
      .where((blob) => blob.not(isLinked(blob)))
      .where(({ not, exists, selectFrom, lit }) =>
        not(
          exists(
            selectFrom('upload_sessions')
              .whereRef('upload_sessions.committing_digest', '=', 'blobs.digest')
              .select(lit(1).as('one')),
          ),
        ),
      )
      .returning('digest'),
  ),
)

const moves = fixedQuery<Record<never, never>>()((db) => db.selectFrom('moves').select(['state', 'shares_blobs']))

/**
 * Whether the bytes are also those of the place that everything has come from, which may link what goes here: as long as
 * it may be gone back to, so up to the first change.
 */
async function areOthersToo(tables: Kysely<Tables>): Promise<boolean> {
  const [move] = (await run(tables, moves, {})).rows
  return move?.state === 'arrived' && move.shares_blobs === 1
}

/** Where the next page begins; the columns that are compared are never null. */
function lastOf<Row extends object>(rows: readonly Row[]) {
  return rows.at(-1) as { [Column in keyof Row]: NonNullable<Row[Column]> } | undefined
}

/** The size of the blob that goes because of a link; no row where it stays, or goes because of another link. */
const bytesThatFollow = (link: ExpressionBuilder<Tables, 'repository_blobs'>, cutoffs: Cutoffs) =>
  link
    .selectFrom('blobs')
    .whereRef('blobs.digest', '=', 'repository_blobs.digest')
    .where(areLastLinks(link, cutoffs))
    .where((blob) => blob.not(isBeingCommitted(blob, cutoffs)))
    .select('size')

/** Whether it is the first of its blob's links, and all of them are unused: then the blob goes with them. */
const areLastLinks = (link: ExpressionBuilder<Tables, 'repository_blobs'>, cutoffs: Cutoffs) => {
  const others = link
    .selectFrom('repository_blobs as other')
    .whereRef('other.digest', '=', 'repository_blobs.digest')
    .select((row) => row.lit(1).as('one'))
  return link.and([
    link.not(link.exists(others.whereRef('other.repository_id', '<', 'repository_blobs.repository_id'))),
    link.not(
      link.exists(
        others.where((other) =>
          other.or([other('other.unused_since', 'is', null), other('other.unused_since', '>=', cutoffs.unused)]),
        ),
      ),
    ),
  ])
}

/** Whether an upload is about to store the blob's bytes; one that is abandoned has gone before. */
const isBeingCommitted = (blob: ExpressionBuilder<Tables, 'blobs'>, cutoffs: Cutoffs) =>
  blob.exists(
    blob
      .selectFrom('upload_sessions')
      .whereRef('upload_sessions.committing_digest', '=', 'blobs.digest')
      .where((session) => session.not(isAbandoned(session, cutoffs)))
      .select((row) => row.lit(1).as('one')),
  )
