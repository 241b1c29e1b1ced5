/**
 * Slows down guessing. Failures are counted by address, and by address and account together, in the database, so that
 * every process counts alike. A right password from a fresh address is never held up by somebody else's wrong ones.
 */
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery } from '../../backends/db/fixed-query.ts'
import { clientNetwork } from '../../base/client-network.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'

export interface LoginThrottle {
  /** Faults: `loginsThrottled` while this address has failed too often, in all or for this account. */
  check(address: string, account: string): Promise<void>
  /** Counts a failure and waits a little before the refusal goes out: the longer, the more there were. */
  failed(address: string, account: string): Promise<void>
}

/** Failures are forgotten this long after the last one. */
const windowMs = 5 * 60_000
/** A CI job with an old password fails a few times a minute; a guesser thousands of times. */
const mostByAccount = 20
const mostByAddress = 100
const firstDelayMs = 50
const longestDelayMs = 2_000

/** How many rows one transaction forgets. */
const mostForgotten = 500

/** Drops a few of the rows that count for nothing any more; true when there may be more of them. */
export async function forgetOldFailures(db: Database, clock: Clock): Promise<boolean> {
  const { numDeletedRows } = await db.write(
    (tables) =>
      tables
        .deleteFrom('login_failures')
        .where('subject', 'in', (query) =>
          query
            .selectFrom('login_failures')
            .where('failed_at', '<', new Date(clock.now() - windowMs).toISOString())
            .orderBy('failed_at')
            .limit(mostForgotten)
            .select('subject'),
        )
        .executeTakeFirst(),
    { sync: false, move: 'ignores' },
  )
  return numDeletedRows === BigInt(mostForgotten)
}

const failuresOf = fixedQuery<{ readonly subject: string }>()((db, param) =>
  db.selectFrom('login_failures').where('subject', '=', param('subject')).select(['failures', 'failed_at']),
)

/** No text of PostgreSQL holds a NUL; whoever tries one in a user name is counted all the same. */
const storable = (account: string) => account.replaceAll('\0', ' ')

export function createLoginThrottle(
  db: Database,
  clock: Clock,
  wait: (ms: number) => Promise<void> = (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
): LoginThrottle {
  // The letter case of a user name does not matter, so it must not buy further attempts either.
  const subjects = (address: string, account: string) => [
    { subject: `address:${clientNetwork(address)}`, most: mostByAddress },
    {
      subject: `account:${clientNetwork(address)}:${storable(account).slice(0, 256).toLowerCase()}`,
      most: mostByAccount,
    },
  ]

  return {
    async check(address, account) {
      for (const { subject, most } of subjects(address, account)) {
        const [row] = await db.select(failuresOf, { subject })
        if (row === undefined || row.failures < most) continue
        const leftMs = Date.parse(row.failed_at) + windowMs - clock.now()
        if (leftMs > 0) throw new Fault('loginsThrottled', { retryAfterSeconds: Math.ceil(leftMs / 1000) })
      }
    },

    async failed(address, account) {
      const now = clock.now()
      const oldest = new Date(now - windowMs).toISOString()
      const most = await db.write(
        async (tables) => {
          let count = 0
          for (const { subject } of subjects(address, account)) {
            const row = await tables
              .insertInto('login_failures')
              .values({ subject, failures: 1, failed_at: new Date(now).toISOString() })
              .onConflict((conflict) =>
                conflict.column('subject').doUpdateSet((update) => ({
                  failures: update
                    .case()
                    .when('login_failures.failed_at', '<', oldest)
                    .then(1)
                    .else(update('login_failures.failures', '+', 1))
                    .end(),
                  failed_at: new Date(now).toISOString(),
                })),
              )
              .returning('failures')
              .executeTakeFirstOrThrow()
            count = Math.max(count, row.failures)
          }
          // Only a new guesser adds rows, so only then is there anything to tidy.
          if (count === 1) await tables.deleteFrom('login_failures').where('failed_at', '<', oldest).execute()
          return count
        },
        { sync: false, move: 'ignores' },
      )
      await wait(Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(most - 1, 10)))
    },
  }
}
