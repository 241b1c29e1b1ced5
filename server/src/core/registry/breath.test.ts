import assert from 'node:assert/strict'
import { beforeEach, suite, test } from 'node:test'
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { paced, type Stopwatch } from './breath.ts'

suite('transactions at an even pace', () => {
  let now: number
  let waitsMs: number[]
  const time: Stopwatch = {
    now: () => now,
    pause: async (ms) => {
      now += Math.max(0, ms)
    },
  }
  /** The lock is to be had after as many milliseconds as are next in `waitsMs`. */
  const db: Pick<Database, 'write'> = {
    write: async (fn) => {
      now += waitsMs.shift() ?? 0
      return fn({} as Kysely<Tables>)
    },
  }
  beforeEach(() => {
    now = 5_000
    waitsMs = []
  })

  /** When each began, of so many that hold the database for `heldMs`. */
  async function begins(everyMs: number, count: number, heldMs = 0): Promise<number[]> {
    const write = paced(db, everyMs, time)
    const moments: number[] = []
    for (let i = 0; i < count; i++) {
      await write(async () => {
        moments.push(now - 5_000)
        now += heldMs
      }, {})
    }
    return moments
  }

  test('begin one every so often', async () => {
    assert.deepEqual(await begins(40, 5, 10), [0, 40, 80, 120, 160])
  })

  test('leave the database to the others for three times as long as they held it', async () => {
    assert.deepEqual(await begins(1, 3, 50), [0, 200, 400])
  })

  test('make up for the time that they waited for others', async () => {
    waitsMs = [600]
    assert.deepEqual(await begins(300, 5, 1), [600, 604, 608, 900, 1_200])
  })

  test('make up for one second and no more', async () => {
    waitsMs = [5_000]
    assert.deepEqual(await begins(400, 5), [5_000, 5_000, 5_000, 5_000, 5_200])
  })
})
