/** For long work in many small transactions, so that others hardly notice it. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import type { Database, WriteOptions } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'

const leastMs = 15

/** Runs a transaction, then leaves the database to the others for at least three times as long. */
export async function thenBreathe<T>(work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const result = await work()
  await pause(Math.max(leastMs, 3 * (performance.now() - began)))
  return result
}

/** Runs a transaction, and resolves when the next one may begin. */
export type PacedWrite = <T>(fn: (tables: Kysely<Tables>) => Promise<T>, options: WriteOptions) => Promise<T>

/** What is late is made up for, but not more than that. */
const mostBehindMs = 1_000

/** Both in milliseconds; tests hand in one that does not take any. */
export interface Stopwatch {
  now(): number
  pause(ms: number): Promise<unknown>
}

const realTime: Stopwatch = { now: () => performance.now(), pause }

/**
 * Transactions at an even pace, one every so many milliseconds: not more often on a machine with room, nor much more seldom
 * on a busy one. Each leaves the database to the others for at least three times as long as it held it.
 */
export function paced(db: Pick<Database, 'write'>, everyMs: number, time: Stopwatch = realTime): PacedWrite {
  let due = time.now()
  return async (fn, options) => {
    let began = time.now()
    const result = await db.write((tables) => {
      // Now, not before: it may have waited for the others.
      began = time.now()
      return fn(tables)
    }, options)
    const ended = time.now()
    due = Math.max(due + everyMs, ended - mostBehindMs)
    await time.pause(Math.max(3 * (ended - began), due - ended))
    return result
  }
}
