/**
 * Moves everything to another database and blob store, while servers go on. Start reading here; `moves.ts` says what
 * both sides remember.
 *
 * 1. The hold on both sides, or a sentence why not.
 * 2. Blobs, then rows, are made in the target what they are in the source, which is compared as a whole each time: so a run
 *    that follows one that was cut short, or hours in which the source went on, only does what is left.
 * 3. Once more for what came meanwhile, until that is little.
 * 4. The source refuses changes; the little that is left follows.
 * 5. Both sides are read once more and must be alike.
 * 6. The source refuses changes for good, and the target takes them.
 */
import { sql } from 'kysely'
import type { Clock } from '../../base/clock.ts'
import { ownershipOf, takeStore } from '../registry/integrity/store-owner.ts'
import { bodyColumns } from './copy-manifests.ts'
import { arrive, type HoldLimits, haveOneStore, type Place, takeHold } from './hold.ts'
import { MigrationError } from './migration-error.ts'
import { movedTables } from './moved-tables.ts'
import { findMove } from './moves.ts'
import type { ReadTable, Side, Verify } from './parts.ts'
import { columnsOf } from './rows.ts'
import { type Contents, isLittle, type Progress, Run } from './run.ts'

export interface MigrationOptions {
  readonly source: Side
  readonly target: Side
  readonly from: Place
  readonly to: Place
  readonly verify: Verify
  readonly clock: Clock
  /** Ends the run between two rows or chunks; it throws the signal's reason then. */
  readonly signal: AbortSignal
  readonly limits?: Partial<MigrationLimits>
  /** Called often. */
  readonly onProgress?: (progress: Progress) => void
  /** Called when another program seems to be at work, which may have been killed: how long that would be waited for. */
  readonly onWaiting?: (seconds: number) => void
}

export interface MigrationLimits extends HoldLimits {
  /** So many rounds at most while the source goes on. */
  readonly rounds: number
}

export interface Moved extends Contents {
  /** How long changes were refused. */
  readonly frozenMs: number
}

const usualLimits: MigrationLimits = { leaseMs: 30_000, renewMs: 5_000, rounds: 10 }

/**
 * Undefined when all of it had moved already. On failure the source takes changes again, and what was copied stays for the
 * next run.
 * Throws `MigrationError` with a sentence for the operator. Faults: `unavailable` when one of the four cannot be had.
 */
export async function migrate(options: MigrationOptions): Promise<Moved | undefined> {
  if (await completeEarlier(options)) return undefined
  const oneStore = haveOneStore(options.from, options.to)
  if (!oneStore) await checkStore(options)
  const limits = { ...usualLimits, ...options.limits }
  const { source, target, from, to, clock, signal, onWaiting = () => undefined } = options
  const hold = await takeHold({ source: source.db, target: target.db, from, to, clock, signal, limits, onWaiting })
  try {
    if (!oneStore) await takeStore(source.db, target.blobs)
    const tables = await tablesOf(source, target, oneStore)
    const run = new Run({ ...options, oneStore, hold, tables })
    for (let round = 1; round <= limits.rounds; round++) {
      if (isLittle(await run.copy({ round }))) break
    }
    const frozenAt = performance.now()
    await hold.freeze()
    const contents = await run.complete().catch(async (error: unknown) => {
      await hold.confirm() // without it, the two may well differ
      throw error
    })
    await hold.finish()
    return { ...contents, frozenMs: performance.now() - frozenAt }
  } finally {
    // Where the source cannot be reached, the hold ends by itself; what went wrong before is to be told.
    await hold.release().catch(() => undefined)
  }
}

/** Whether the source had moved before, also where the end was cut short. */
async function completeEarlier({ source, target, to }: MigrationOptions): Promise<boolean> {
  const move = await findMove(source.db)
  if (move?.state !== 'moved') return false
  const arrival = await findMove(target.db)
  // A place that was moved to before, and undone, knows the move as well.
  if (arrival?.id !== move.id || move.database !== to.database || move.blobs !== to.blobs)
    throw new MigrationError(`everything has moved to ${move.database} and ${move.blobs} already`)
  if (arrival.state === 'filling') await arrive(target.db, move.id)
  return true
}

/** Blobs that another store has left would stay for ever; and the next start of a server on it would find another's word there. */
async function checkStore({ source, target, to }: MigrationOptions): Promise<void> {
  const { state, tenant } = await ownershipOf(source.db, target.blobs)
  if (tenant === '') throw new MigrationError('the server has not come to the end of its first start')
  if (state === 'foreign')
    throw new MigrationError(`${to.blobs} is the store of another database (${tenant}): name another`)
  const [here, there] = [await findMove(source.db), await findMove(target.db)]
  if (here !== undefined && here.id === there?.id && there.blobs === to.blobs) return
  for await (const digest of target.blobs.list()) {
    throw new MigrationError(`${to.blobs} holds blobs already (${digest}): name an empty place`)
  }
}

/** Throws `MigrationError` where the two have other tables or columns. */
async function tablesOf(source: Side, target: Side, oneStore: boolean): Promise<ReadTable[]> {
  const [theirs, ours] = await Promise.all([columnsOf(source.db), columnsOf(target.db)])
  return movedTables.map((table) => {
    const columns = theirs.get(table.name) ?? []
    if (columns.toSorted().join() !== ours.get(table.name)?.toSorted().join())
      throw new MigrationError(`the two databases differ in the columns of ${table.name}`)
    const bodies: readonly string[] = table.name === 'manifests' ? bodyColumns : []
    // What no repository links is garbage; its bytes may have gone already. Where they stay, so must the rows.
    const filter = table.name === 'blobs' && !oneStore ? sql<boolean>`unlinked_since is null` : undefined
    const { name, key } = table
    const reading = { name, key, columns: columns.filter((column) => !bodies.includes(column)), filter }
    return { ...table, columns, reading }
  })
}
