/** Who does what one process in all should do at a time. Losing a lease in the middle of the work must do no harm. */
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import { timestamp } from '../../base/timestamp.ts'

export interface Lease {
  /** Takes it for so long, if nobody has it. */
  take(ms: number): Promise<boolean>
  /** Has it last for so long from now on, 0 to give it back; false when it has passed to somebody else. */
  keep(ms: number): Promise<boolean>
}

/** holder: this process, by a name that no other has. */
export function createLease(db: Database, clock: Clock, name: string, holder: string): Lease {
  const until = (ms: number) => new Date(clock.now() + ms).toISOString()
  return {
    take(ms) {
      return db.write(
        async (tables) => {
          const row = { holder, until: until(ms) }
          const taken = await tables
            .insertInto('leases')
            .values({ name, ...row })
            .onConflict((conflict) =>
              conflict.column('name').doUpdateSet(row).where('leases.until', '<=', timestamp(clock)),
            )
            .returning('holder')
            .executeTakeFirst()
          return taken !== undefined
        },
        { sync: false, move: 'ignores' },
      )
    },
    keep(ms) {
      return db.write(
        async (tables) => {
          const { numUpdatedRows } = await tables
            .updateTable('leases')
            .set({ until: until(ms) })
            .where('name', '=', name)
            .where('holder', '=', holder)
            .executeTakeFirst()
          return numUpdatedRows > 0n
        },
        { sync: false, move: 'ignores' },
      )
    },
  }
}
