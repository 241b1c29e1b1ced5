/** Back to the source, as long as nothing was changed in the target. */
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import { timestamp } from '../../base/timestamp.ts'
import { MigrationError } from './migration-error.ts'
import { isEmpty, type Move, moveIn } from './moves.ts'

/**
 * The source takes changes again, the target none; another run of the move goes on from there. False when the source took
 * them anyway.
 * target: undefined where it is gone for good, or what was changed there may be lost.
 * Throws `MigrationError` when the target was changed, and when a move is at work.
 */
export async function undoMove(source: Database, target: Database | undefined, clock: Clock): Promise<boolean> {
  const move = await source.read(moveIn)
  if (move === undefined || !['frozen', 'moved'].includes(move.state)) return false
  if (move.holder !== '' && move.until > timestamp(clock)) {
    throw new MigrationError('`berth migrate` is at work; end it first, or wait a minute where it was killed')
  }
  if (target !== undefined) await target.write((tables) => closeTarget(tables, move), { move: 'decides' })
  await source.write((tables) => openSource(tables, move), { move: 'decides' })
  return true
}

async function closeTarget(tables: Parameters<typeof moveIn>[0], move: Move): Promise<void> {
  const arrival = await moveIn(tables)
  if (arrival?.id === move.id) {
    await tables.updateTable('moves').set({ state: 'filling' }).where('id', '=', move.id).execute()
  } else if (arrival !== undefined || !(await isEmpty(tables))) {
    throw new MigrationError(`${move.database} has been changed since everything moved there; that would be lost`)
  }
}

async function openSource(tables: Parameters<typeof moveIn>[0], { id }: Move): Promise<void> {
  await tables.updateTable('moves').set({ state: 'copying', holder: '', until: '' }).where('id', '=', id).execute()
}
