import assert from 'node:assert/strict'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createTestDatabase, openTestDatabase } from '../../../test/database.ts'
import { postgresSkip, testPostgres } from '../../../test/postgres.ts'
import type { Database } from '../../backends/db/database.ts'
import { openPostgres } from '../../backends/db/postgres.ts'
import { openSqlite } from '../../backends/db/sqlite.ts'
import { manualClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { type Hold, takeHold } from './hold.ts'
import { MigrationError } from './migration-error.ts'
import { findMove } from './moves.ts'

const clock = manualClock()
let source: Database
let target: Database
beforeEach(async () => {
  ;[source, target] = [await openTestDatabase({ clock }), await openTestDatabase({ clock })]
})
afterEach(async () => {
  await source.dispose()
  await target.dispose()
})

const leaseMs = 30_000
const never = 1_000_000

const take = (renewMs = never, from = source): Promise<Hold> =>
  takeHold({
    ...{ source: from, target, clock },
    from: { database: 'old', blobs: 'old blobs' },
    to: { database: 'new', blobs: 'new blobs' },
    signal: new AbortController().signal,
    limits: { leaseMs, renewMs },
    onWaiting: () => assert.fail('nobody else is there'),
  })

const addBlob = (digest: string) => (hold: Hold) =>
  hold.changeTarget((tables) => tables.insertInto('blobs').values({ digest, size: 1, created_at: '' }).execute())
const blobs = (db: Database) => db.read((tables) => tables.selectFrom('blobs').select('digest').execute())
const lost = (error: unknown) => error instanceof MigrationError && /stood still/.test(error.message)

/** One whose program stands still, and one that has taken over. */
async function two(): Promise<{ late: Hold; now: Hold }> {
  const late = await take()
  clock.advance(leaseMs + 1)
  return { late, now: await take() }
}

suite('the hold on a move', () => {
  test('both sides know of it, and the source goes on', async () => {
    const hold = await take()
    const [here, there] = [await findMove(source), await findMove(target)]
    assert.deepEqual([here?.state, here?.database, here?.blobs], ['copying', 'new', 'new blobs'])
    assert.deepEqual([there?.state, there?.database, there?.blobs], ['filling', 'old', 'new blobs'])
    assert.equal(here?.id, there?.id)
    await source.write(async () => undefined)
    await hold.release()
    assert.equal((await findMove(source))?.holder, '')
  })

  test('lasts as long as it is renewed', async () => {
    const hold = await take(5)
    const until = (await findMove(source))?.until
    clock.advance(leaseMs - 1)
    while ((await findMove(source))?.until === until) await new Promise((resolve) => setTimeout(resolve, 5))
    await hold.confirm()
    await hold.release()
  })

  test('once taken over, one changes nothing in the target any more', async () => {
    const { late, now } = await two()
    await addBlob('mine')(now)
    await assert.rejects(addBlob('late')(late), lost)
    assert.deepEqual(await blobs(target), [{ digest: 'mine' }])
    await now.release()
    await late.release()
  })

  test('once taken over, one neither freezes nor ends anything', async () => {
    const { late, now } = await two()
    await assert.rejects(late.freeze(), lost)
    assert.equal(late.signal.aborted, true)
    await source.write(async () => undefined)
    await now.freeze()
    await late.release()
    await assert.rejects(
      source.write(async () => undefined),
      (error) => isFault(error, 'unavailable'),
      'the freeze is the other one’s',
    )
    await now.finish()
    assert.deepEqual([(await findMove(source))?.state, (await findMove(target))?.state], ['moved', 'arrived'])
  })

  test('a freeze that the source has lifted is not ended as if it had held', async () => {
    const hold = await take()
    await hold.freeze()
    clock.advance(leaseMs + 1)
    await source.write(async () => undefined)
    await assert.rejects(hold.finish(), lost)
    assert.deepEqual([(await findMove(source))?.state, (await findMove(target))?.state], ['copying', 'filling'])
  })

  test('released while frozen, the source takes changes at once', async () => {
    const hold = await take()
    await hold.freeze()
    await hold.release()
    await source.write(async () => undefined)
    await hold.release()
  })
})

suite('a freeze', () => {
  const databases = [
    { dialect: 'SQLite', open: async () => ({ db: await openSqlite({ file: ':memory:', clock }) }), skip: false },
    { dialect: 'PostgreSQL', open: openOnPostgres, skip: postgresSkip },
  ] as const

  for (const { dialect, open, skip } of databases)
    test(`on ${dialect} waits for a change under way, which must be moved if it is acknowledged`, {
      skip,
    }, async () => {
      const { db, drop }: OpenedDatabase = await open()
      const hold = await take(never, db)
      const begun = Promise.withResolvers<void>()
      const goOn = Promise.withResolvers<void>()
      const change = db.write(async (tables) => {
        begun.resolve()
        await goOn.promise
        await tables.insertInto('blobs').values({ digest: 'early', size: 1, created_at: '' }).execute()
      })
      try {
        await begun.promise
        const frozen = hold.freeze().then(() => blobs(db))
        await pause(100) // time enough to do it wrong
        goOn.resolve()
        await change
        assert.deepEqual(await frozen, [{ digest: 'early' }])
      } finally {
        await hold.release()
        await db.dispose()
        await drop?.()
      }
    })
})

interface OpenedDatabase {
  readonly db: Database
  readonly drop?: () => Promise<void>
}

/** Whatever the other tests are on: only there can two write at the same time. */
async function openOnPostgres(): Promise<OpenedDatabase> {
  const { name, drop } = await createTestDatabase()
  return { db: await openPostgres({ server: (await testPostgres()).serverOf(name), clock }), drop }
}
