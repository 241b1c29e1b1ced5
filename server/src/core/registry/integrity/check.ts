/**
 * Whether what is stored is what was pushed, and whether all that is noted about it agrees: `berth fsck`. It works beside a
 * server at full work. Start reading here; each kind of thing has its file, docs/fsck.md has the rules.
 *
 * What looks wrong is looked at once more a moment later, and only then told. Where a look takes several questions, the rows
 * are asked before and after the bytes. A repair looks a third time, in its own transaction.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { BlobStore } from '../../../backends/blobs/blob-store.ts'
import type { Database } from '../../../backends/db/database.ts'
import type { Clock } from '../../../base/clock.ts'
import { blobRows } from './blobs.ts'
import { type Check, type Finding, type Parts, type Trouble, unlessRefused } from './finding.ts'
import { kindOf } from './kinds.ts'
import { linkCounts } from './link-counts.ts'
import { linkQueue, lostLinks } from './links.ts'
import { manifests } from './manifests.ts'
import { knownUploads, storedBytes, storedUploads } from './orphans.ts'
import { ownershipOf, takeStore } from './store-owner.ts'
import { tags } from './tags.ts'
import { registryCounts, repositoryCounts } from './usage.ts'

export type { Finding } from './finding.ts'
export { type Kind, type KindName, kindOf, kinds } from './kinds.ts'

export interface CheckOptions {
  /** Looks at sizes only, and reads no blob. */
  readonly quick?: boolean
  readonly repair?: boolean
  /** Goes on where the store is not known to be the right one and has none of the blobs: they are lost then. */
  readonly acceptLoss?: boolean
  /** Unfinished uploads that are younger are nobody's business. */
  readonly uploadExpiryMs: number
  /** Called after each batch. */
  readonly onProgress?: (progress: Progress) => void
}

export interface Progress {
  /** `blobs`, `manifests`, … */
  readonly things: string
  readonly looked: number
  /** Stored bytes that were read. */
  readonly bytes: number
}

export interface IntegrityChecker {
  /**
   * Yields what is wrong as it is found, and repaired on request. Memory does not grow with what is stored.
   * Faults: `unavailable`.
   */
  check(options: CheckOptions): AsyncIterable<Finding>
}

const secondLookMs = 100
/** So often is a thing repaired that changes under the repair. */
const mostTries = 4

export function createIntegrityChecker(db: Database, store: BlobStore, clock: Clock): IntegrityChecker {
  return {
    async *check({ quick = false, repair = false, acceptLoss = false, uploadExpiryMs, onProgress = () => undefined }) {
      const parts: Parts = { db, store, clock, quick, uploadExpiryMs }
      const trouble = await lookAtStore(parts, acceptLoss)
      if (trouble !== undefined) {
        const finding = repair ? await mend(trouble) : findingOf(trouble, 'found')
        if (finding !== 'changed') yield finding
        if (trouble.repair === undefined) return
      }
      for (const one of checksOf(parts)) yield* carryOut(one, repair, onProgress)
    },
  }
}

/** Without a repair where it is not the right one, as far as anybody can tell: all else that would be found is wrong then. */
async function lookAtStore({ db, store }: Parts, acceptLoss: boolean): Promise<Trouble | undefined> {
  const { state, tenant } = await ownershipOf(db, store)
  if (state === 'ours') return undefined
  const trouble = { kind: storeTroubles[state], name: tenant, where: [], elsewhere: 0, detail: '', bytes: 0 }
  if (state === 'foreign' || (state === 'absent' && !acceptLoss)) return trouble
  const repair = async () => {
    await takeStore(db, store)
    return { done: 'it is the store of this database' }
  }
  return { ...trouble, repair }
}

const storeTroubles = {
  foreign: 'foreign store',
  absent: 'absent store',
  unmarked: 'unmarked store',
  unknown: 'unmarked store',
} as const

/** Each goes by what those before it have repaired: what there is, then what it names, then what is noted about both. */
const checksOf = (parts: Parts): Check[] => [
  blobRows(parts),
  lostLinks(parts),
  manifests(parts),
  tags(parts),
  linkQueue(parts),
  linkCounts(parts),
  repositoryCounts(parts),
  registryCounts(parts),
  storedBytes(parts),
  storedUploads(parts),
  knownUploads(parts),
]

async function* carryOut(
  check: Check,
  repair: boolean,
  onProgress: (progress: Progress) => void,
): AsyncGenerator<Finding> {
  let [looked, bytes] = [0, 0]
  for await (const batch of check.scan()) {
    looked += batch.looked
    bytes += batch.bytes ?? 0
    onProgress({ things: check.things, looked, bytes })
    if (batch.suspects.length > 0) await pause(secondLookMs)
    for (const suspect of batch.suspects) yield* settle(check, suspect, repair)
  }
}

/** A repair may bring to light, or put right, what else is wrong with the same thing. */
async function* settle(check: Check, suspect: unknown, repair: boolean): AsyncGenerator<Finding> {
  const told = new Set<string>()
  for (let tries = 1; ; tries++) {
    const troubles = (await check.look(suspect)).filter(({ kind }) => !told.has(kind))
    let again = false
    for (const trouble of troubles) {
      let finding = repair ? await mend(trouble) : findingOf(trouble, 'found')
      again ||= finding === 'changed' || finding.outcome === 'repaired'
      if (finding === 'changed' && tries < mostTries) continue
      if (finding === 'changed') finding = findingOf(trouble, 'left', 'it kept changing; try again')
      told.add(trouble.kind)
      yield finding
    }
    if (!again || tries === mostTries) return
  }
}

async function mend(trouble: Trouble): Promise<Finding | 'changed'> {
  if (trouble.repair === undefined)
    return findingOf(trouble, kindOf(trouble.kind).severity === 'note' ? 'found' : 'left')
  const repair = await unlessRefused(trouble.repair())
  if (repair === 'changed') return 'changed'
  if (repair instanceof Error) return findingOf(trouble, 'left', repair.message)
  return 'done' in repair ? findingOf(trouble, 'repaired', repair.done) : findingOf(trouble, 'left', repair.left)
}

function findingOf({ repair: _, ...facts }: Trouble, outcome: Finding['outcome'], done?: string): Finding {
  return { ...facts, outcome, ...(done !== undefined && { done }) }
}
