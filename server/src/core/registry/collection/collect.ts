/**
 * Garbage collection while everything goes on: what lost its last reference was put into a review queue then; after the
 * grace it is looked at again, in small transactions with room for others between them. Rules: docs/garbage-collection.md.
 * Start reading here; why it is safe is said in `blobs.ts`.
 */
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import type { Clock } from '../../../base/clock.ts'
import { unlinkedBlobs, unusedLinks } from './blobs.ts'
import { leftReferrers, untaggedManifests } from './manifests.ts'
import { type Cutoffs, type Garbage, NotAllDone, type Parts, type Step } from './step.ts'
import { abandonedUploads, lostUploads } from './uploads.ts'

export type { Garbage, Reason } from './step.ts'
export { reasons } from './step.ts'

export interface CollectionOptions {
  /** How long what has lost its last reference stays. */
  readonly graceMs: number
  /** How long unfinished uploads stay without a sign of life. */
  readonly uploadExpiryMs: number
  /** Removes manifests that nobody has needed for so long; undefined keeps them all. */
  readonly untaggedMs?: number | undefined
  /** Only tells what a collection right now would remove. */
  readonly dryRun?: boolean
  /** Ends the collection between two transactions. */
  readonly signal?: AbortSignal
}

export interface Collector {
  /**
   * What goes, or would go, a batch at a time; nothing goes further than the next batch is asked for. Safe beside another
   * collection. Ends early, without an error, when the signal says so. What some files fail with is thrown at the end.
   */
  collect(options: CollectionOptions): AsyncIterable<readonly Garbage[]>
}

export function createCollector(db: Database, store: BlobStore, clock: Clock): Collector {
  return {
    async *collect({ graceMs, uploadExpiryMs, untaggedMs, dryRun = false, signal = new AbortController().signal }) {
      const parts: Parts = { db, store, clock, signal }
      const before = (ms: number) => new Date(clock.now() - ms).toISOString()
      const cutoffs: Cutoffs = {
        now: before(0),
        unused: before(graceMs),
        uploads: before(uploadExpiryMs),
        untagged: untaggedMs === undefined ? undefined : before(untaggedMs),
      }
      const run = dryRun ? tell : carryOut
      yield* run(abandonedUploads(parts, cutoffs), signal)
      yield* run(lostUploads(parts, cutoffs), signal)
      yield* run(leftReferrers(parts), signal)
      yield* run(untaggedManifests(parts, cutoffs), signal)
      yield* run(unusedLinks(parts, cutoffs), signal)
      yield* run(unlinkedBlobs(parts, cutoffs), signal)
    },
  }
}

async function* tell<Work>(step: Step<Work>, signal: AbortSignal): AsyncGenerator<readonly Garbage[]> {
  for await (const { garbage } of step.plan({ following: true })) {
    if (signal.aborted) return
    if (garbage.length > 0) yield garbage
  }
}

async function* carryOut<Work>(step: Step<Work>, signal: AbortSignal): AsyncGenerator<readonly Garbage[]> {
  let failure: NotAllDone | undefined
  for await (const { work } of step.plan({ following: false })) {
    if (signal.aborted) return
    if (work.length === 0) continue
    try {
      for await (const gone of step.carryOut(work)) if (gone.length > 0) yield gone
    } catch (error) {
      if (!(error instanceof NotAllDone)) throw error
      failure ??= error
    }
  }
  if (failure !== undefined) throw failure.cause
}
