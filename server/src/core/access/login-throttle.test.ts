import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openTestDatabase } from '../../../test/database.ts'
import type { Database } from '../../backends/db/database.ts'
import { manualClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { createLoginThrottle, type LoginThrottle } from './login-throttle.ts'

const minuteMs = 60_000

describe('login throttle', () => {
  let db: Database
  let clock: ReturnType<typeof manualClock>
  let throttle: LoginThrottle
  beforeEach(async () => {
    clock = manualClock()
    db = await openTestDatabase({ clock })
    throttle = createLoginThrottle(db, clock, async () => undefined)
  })
  afterEach(() => db.dispose())

  async function fail(count: number, address: string, account: string | ((index: number) => string)) {
    for (let index = 0; index < count; index++) {
      await throttle.failed(address, typeof account === 'string' ? account : account(index))
    }
  }

  const isThrottled = (address: string, account: string) =>
    throttle.check(address, account).then(
      () => false,
      (error) => {
        if (isFault(error, 'loginsThrottled')) return true
        throw error
      },
    )

  test('nineteen failures close nothing, the twentieth closes the account to the address', async () => {
    await fail(19, '192.0.2.1', 'berth')
    assert.equal(await isThrottled('192.0.2.1', 'berth'), false)
    await fail(1, '192.0.2.1', 'berth')
    assert.equal(await isThrottled('192.0.2.1', 'berth'), true)
    assert.equal(await isThrottled('192.0.2.1', 'other'), false)
    assert.equal(await isThrottled('192.0.2.2', 'berth'), false)
  })

  test('a hundred failures of any accounts close the address', async () => {
    await fail(99, '192.0.2.1', (index) => `user ${index}`)
    assert.equal(await isThrottled('192.0.2.1', 'fresh'), false)
    await fail(1, '192.0.2.1', 'last')
    assert.equal(await isThrottled('192.0.2.1', 'fresh'), true)
    assert.equal(await isThrottled('192.0.2.2', 'fresh'), false)
  })

  test('says how long it lasts, five minutes from the last failure, and then forgets', async () => {
    await fail(20, '192.0.2.1', 'berth')
    clock.advance(2 * minuteMs + 500)
    await assert.rejects(
      throttle.check('192.0.2.1', 'berth'),
      (error) => isFault(error, 'loginsThrottled') && error.detail.retryAfterSeconds === 180,
    )
    clock.advance(3 * minuteMs - 501)
    assert.equal(await isThrottled('192.0.2.1', 'berth'), true)
    clock.advance(1)
    assert.equal(await isThrottled('192.0.2.1', 'berth'), false)
    clock.advance(1)
    await fail(1, '192.0.2.9', 'x')
    const rows = await db.read((tables) => tables.selectFrom('login_failures').selectAll().execute())
    assert.deepEqual(rows.map(({ subject }) => subject).sort(), ['account:192.0.2.9:x', 'address:192.0.2.9'])
  })

  test('processes on one database count together', async () => {
    const other = createLoginThrottle(db, clock, async () => undefined)
    await fail(10, '192.0.2.1', 'berth')
    for (let count = 0; count < 10; count++) await other.failed('192.0.2.1', 'berth')
    assert.equal(await isThrottled('192.0.2.1', 'berth'), true)
  })

  test('an account of great length takes no great room', async () => {
    await fail(20, '192.0.2.1', 'x'.repeat(100_000))
    assert.equal(await isThrottled('192.0.2.1', 'x'.repeat(100_000)), true)
    const rows = await db.read((tables) => tables.selectFrom('login_failures').select('subject').execute())
    for (const { subject } of rows) assert.ok(subject.length < 300)
  })

  test('each failure waits longer than the one before, two seconds at most', async () => {
    const waits: number[] = []
    throttle = createLoginThrottle(db, clock, async (ms) => void waits.push(ms))
    await fail(15, '192.0.2.1', 'berth')
    assert.deepEqual(waits.slice(0, 7), [50, 100, 200, 400, 800, 1_600, 2_000])
    assert.deepEqual(new Set(waits.slice(6)), new Set([2_000]))
  })
})
