/** What the steps of a collection have in common. */
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import type { Clock } from '../../../base/clock.ts'

/** Why something goes; docs/garbage-collection.md has the rules. In the order of the steps. */
export const reasons = [
  'abandoned upload',
  'lost upload',
  'referrer of a deleted manifest',
  'untagged manifest',
  'referrer of an untagged manifest',
  'unused link',
  'unlinked blob',
] as const

export type Reason = (typeof reasons)[number]

/** Something that goes, or would go. */
export interface Garbage {
  readonly reason: Reason
  /** A digest, or the name of an upload session. */
  readonly name: string
  /** `<registry>/<repository>`, for what is in one. */
  readonly repository?: string
  /** ISO time since when the reason holds. */
  readonly since: string
  /** What the store or the database gets back; 0 where that is not known, or nothing. */
  readonly bytes: number
}

export interface Batch<Work> {
  /** What is to be done; it is looked at again when it is. */
  readonly work: readonly Work[]
  /** What goes because of it, also in later steps if `following`: what a dry run tells. */
  readonly garbage: readonly Garbage[]
}

export interface PlanOptions {
  /** Also what goes in later steps because of this one, which takes longer to find out. */
  readonly following: boolean
}

/** Some of the work could not be done, and all the rest was. cause: what it failed with. */
export class NotAllDone extends Error {
  constructor(cause: unknown) {
    super('some garbage could not be removed', { cause })
  }
}

/** One kind of garbage. */
export interface Step<Work> {
  /** Changes nothing. In batches, each found when it is asked for, by ranges of indexes. */
  plan(options: PlanOptions): AsyncIterable<Batch<Work>>
  /**
   * Yields what has gone, as it goes; the rest was needed again, or somebody else was faster. Safe to repeat.
   * Throws `NotAllDone` at the end where some of it failed.
   */
  carryOut(work: readonly Work[]): AsyncIterable<readonly Garbage[]>
}

export interface Parts {
  readonly db: Database
  readonly store: BlobStore
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** The moments, fixed when the collection begins: what came about at them or later stays. ISO times. */
export interface Cutoffs {
  readonly now: string
  /** For what has lost its last reference. */
  readonly unused: string
  /** For unfinished uploads. */
  readonly uploads: string
  /** For untagged manifests; undefined keeps them. */
  readonly untagged: string | undefined
}

/** How much is looked for at once. */
export const planned = 200

/** How much is put in order at a time. */
const ordered = 4_000

/**
 * The same work in larger batches, in the order of the keys: what goes in one transaction then lies on few pages of the
 * indexes instead of one for each entry, and a transaction is that much shorter.
 */
export async function* inOrder<Work>(
  batches: AsyncIterable<Batch<Work>>,
  keyOf: (work: Work) => string,
): AsyncGenerator<Batch<Work>, void, undefined> {
  let work: Work[] = []
  let garbage: Garbage[] = []
  for await (const batch of batches) {
    work.push(...batch.work)
    garbage.push(...batch.garbage)
    if (work.length < ordered) continue
    yield { work: sorted(work, keyOf), garbage }
    work = []
    garbage = []
  }
  if (garbage.length > 0) yield { work: sorted(work, keyOf), garbage }
}

function sorted<Work>(work: readonly Work[], keyOf: (work: Work) => string): Work[] {
  return work
    .map((item) => ({ key: keyOf(item), item }))
    .sort((one, other) => (one.key < other.key ? -1 : 1))
    .map(({ item }) => item)
}
