import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'
import type { Database } from '../../backends/db/database.ts'
import { openSqlite } from '../../backends/db/sqlite.ts'
import { manualClock } from '../../base/clock.ts'
import { type Log, silentLog } from '../../base/log.ts'
import { createLease } from './leases.ts'
import { type PeriodicJob, type RunningJob, startPeriodic } from './periodic.ts'

const minuteMs = 60_000

let folder: string
let databases: Database[]
let clock: ReturnType<typeof manualClock>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-jobs-'))
  databases = []
  clock = manualClock()
})
afterEach(async () => {
  for (const db of databases) await db.dispose()
  await rm(folder, { recursive: true })
})

async function aDatabase(): Promise<Database> {
  const db = await openSqlite({ file: join(folder, 'berth.db'), clock })
  databases.push(db)
  return db
}

suite('a lease', () => {
  test('is one holder’s until it runs out, is given back, or was never kept', async () => {
    const [one, other] = [
      createLease(await aDatabase(), clock, 'x', '1'),
      createLease(await aDatabase(), clock, 'x', '2'),
    ]
    assert.equal(await one.keep(1_000), false)
    assert.equal(await one.take(1_000), true)
    assert.equal(await other.take(1_000), false)
    clock.advance(999)
    assert.equal(await one.keep(1_000), true)
    clock.advance(999)
    assert.equal(await other.take(1_000), false)
    clock.advance(1)
    assert.equal(await other.take(1_000), true)
    assert.equal(await one.keep(1_000), false)
    assert.equal(await other.keep(0), true)
    assert.equal(await one.take(1_000), true)
  })

  test('of one name says nothing about another', async () => {
    const db = await aDatabase()
    assert.equal(await createLease(db, clock, 'x', '1').take(1_000), true)
    assert.equal(await createLease(db, clock, 'y', '2').take(1_000), true)
  })

  test('is not taken twice by its own holder either: between runs it rests', async () => {
    const lease = createLease(await aDatabase(), clock, 'x', '1')
    assert.equal(await lease.take(1_000), true)
    assert.equal(await lease.take(1_000), false)
  })
})

/** A process whose waiting ends when the test says so: `wake` resolves when it waits again. */
function aProcess(db: Database, run: PeriodicJob['run'], log: Log = silentLog) {
  const waits: { ms: number; end: () => void }[] = []
  let waiting = Promise.withResolvers<void>()
  const wait = (ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      waits.push({ ms, end: resolve })
      signal.addEventListener('abort', () => resolve())
      if (signal.aborted) resolve()
      waiting.resolve()
    })
  const job: RunningJob = startPeriodic({ name: 'job', intervalMs: 10 * minuteMs, run }, { db, clock, log, wait })
  return {
    job,
    waits,
    async wake(): Promise<void> {
      await waiting.promise
      waiting = Promise.withResolvers()
      waits.at(-1)?.end()
      await waiting.promise
    },
  }
}

suite('periodic work', () => {
  test('is done once an interval, by any one of the processes', async () => {
    const ran: string[] = []
    const processes: ReturnType<typeof aProcess>[] = []
    for (const name of ['one', 'other']) processes.push(aProcess(await aDatabase(), async () => void ran.push(name)))
    const wakeAll = async () => {
      for (const { wake } of processes) await wake()
    }
    await wakeAll()
    assert.deepEqual(ran, ['one'])
    clock.advance(10 * minuteMs - 1)
    await wakeAll()
    assert.deepEqual(ran, ['one'])
    clock.advance(1)
    for (const { wake } of processes.toReversed()) await wake()
    assert.deepEqual(ran, ['one', 'other'])
    for (const { job } of processes) await job.stop()
  })

  test('begins within some seconds of the start, and looks again after the interval', async () => {
    const { job, waits, wake } = aProcess(await aDatabase(), async () => undefined)
    await wake()
    const [first, second] = waits
    assert.ok(first !== undefined && first.ms <= 5_000)
    assert.equal(second?.ms, 10 * minuteMs)
    await job.stop()
  })

  test('that fails is logged, and tried again after a minute', async () => {
    const errors: object[] = []
    let runs = 0
    const run = async () => {
      runs += 1
      if (runs === 1) throw new Error('the store is away')
    }
    const log = { ...silentLog, error: (facts: object) => void errors.push(facts) }
    const { job, waits, wake } = aProcess(await aDatabase(), run, log)
    await wake()
    assert.deepEqual(
      errors.map((facts) => 'err' in facts && facts.err instanceof Error && facts.err.message),
      ['the store is away'],
    )
    assert.equal(waits.at(-1)?.ms, minuteMs)
    clock.advance(minuteMs)
    await wake()
    assert.equal(runs, 2)
    await job.stop()
  })

  test('is cut short when the process ends, and another process goes on at once', async () => {
    const begun = Promise.withResolvers<void>()
    const untilAborted = (signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve())
        begun.resolve()
      })
    const one = aProcess(await aDatabase(), untilAborted)
    one.waits.at(-1)?.end()
    await begun.promise
    const ran: string[] = []
    const other = aProcess(await aDatabase(), async () => void ran.push('other'))
    await other.wake()
    assert.deepEqual(ran, [], 'one at a time')
    await one.job.stop()
    await other.wake()
    assert.deepEqual(ran, ['other'])
    await other.job.stop()
  })

  test('whose lease has passed to another process is cut short', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const begun = Promise.withResolvers<AbortSignal>()
    const ended = Promise.withResolvers<void>()
    const process = aProcess(await aDatabase(), async (signal) => {
      begun.resolve(signal)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      ended.resolve()
    })
    process.waits.at(-1)?.end()
    const signal = await begun.promise
    clock.advance(30_000)
    t.mock.timers.tick(20_000)
    const thief = createLease(await aDatabase(), clock, 'job', 'thief')
    while ((await leaseUntil()) < clock.now() + minuteMs) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(await thief.take(minuteMs), false, 'it was renewed')
    clock.advance(61_000)
    assert.equal(await thief.take(minuteMs), true)
    assert.equal(signal.aborted, false)
    t.mock.timers.tick(20_000)
    await ended.promise
    await process.job.stop()
    assert.equal(await thief.keep(minuteMs), true, 'the end of the run did not touch what is not its own')
  })

  async function leaseUntil(): Promise<number> {
    const [db] = databases
    const row = await db?.read((tables) => tables.selectFrom('leases').select('until').executeTakeFirst())
    return Date.parse(row?.until ?? '')
  }
})
