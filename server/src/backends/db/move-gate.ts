/**
 * What every write looks at before anything else, inside its transaction, so that a database that is being moved takes no
 * change that would be lost. Exact in every process: whoever closes the gate (`move: 'decides'`) waits for the writes that
 * found it open, and is seen by all that begin later.
 */
import type { Kysely } from 'kysely'
import { Fault } from '../../base/fault.ts'
import { fixedQuery } from './fixed-query.ts'
import type { Tables } from './tables/index.ts'
import type { MovesTable } from './tables/moves.ts'

export type MoveGate = Pick<MovesTable, 'id' | 'state' | 'until' | 'database'>

/** Without parameters, so that it can be sent together with BEGIN. */
export const moveGate = fixedQuery<Record<never, never>>()((db) =>
  db.selectFrom('moves').select(['id', 'state', 'until', 'database']),
)

const frozenSeconds = 5
const movedSeconds = 60

/**
 * gate: what `moveGate` has found; undefined where nothing moves. now: ISO time. isLoss: whether undoing the move loses
 * what the write changes.
 * A freeze that nobody has renewed in time is lifted here, by the first write that comes: so its owner finds out, whatever
 * the clocks of the two say.
 * Faults: `unavailable` where changes are refused.
 */
export async function passMoveGate(
  db: Kysely<Tables>,
  gate: MoveGate | undefined,
  { now, isLoss }: { readonly now: string; readonly isLoss: boolean },
): Promise<void> {
  if (gate === undefined || gate.state === 'copying') return
  if (gate.state === 'frozen' && gate.until <= now) {
    await db.updateTable('moves').set({ state: 'copying' }).where('id', '=', gate.id).execute()
    return
  }
  if (gate.state === 'arrived') {
    if (isLoss) await db.deleteFrom('moves').where('id', '=', gate.id).execute()
    return
  }
  throw new Fault('unavailable', refusals[gate.state](gate))
}

const refusals: Readonly<
  Record<'frozen' | 'moved' | 'filling', (gate: MoveGate) => { retryAfterSeconds: number; reason: string }>
> = {
  frozen: ({ database }) => ({
    retryAfterSeconds: frozenSeconds,
    reason: `changes are refused for a moment, while everything moves to ${database}`,
  }),
  moved: ({ database }) => ({
    retryAfterSeconds: movedSeconds,
    reason: `changes are refused: everything has moved to ${database}`,
  }),
  filling: ({ database }) => ({
    retryAfterSeconds: movedSeconds,
    reason: `changes are refused until everything has come from ${database}`,
  }),
}
