import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, suite, test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { createTestDatabase } from '../../../test/database.ts'
import { postgresSkip, testPostgres } from '../../../test/postgres.ts'
import { manualClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type { Database } from './database.ts'
import { openPostgres } from './postgres.ts'
import { openSqlite } from './sqlite.ts'
import type { Tables } from './tables/index.ts'
import type { MovesTable } from './tables/moves.ts'

const clock = manualClock()
const row: MovesTable = {
  ...{
    id: 'a move',
    state: 'frozen',
    holder: 'me',
    until: '',
    database: 'postgres://elsewhere/berth',
    blobs: 's3://b',
  },
  shares_blobs: 0,
  begun_at: 'then',
}

const addBlob = (digest: string) => async (tables: Kysely<Tables>) => {
  await tables.insertInto('blobs').values({ digest, size: 1, created_at: '' }).execute()
}
const countBlobs = async (db: Database) =>
  (await db.read((tables) => tables.selectFrom('blobs').select('digest').execute())).length
const moveOf = (db: Database) => db.read((tables) => tables.selectFrom('moves').selectAll().executeTakeFirst())

const decide = (db: Database, change: Partial<MovesTable>) =>
  db.write(
    async (tables) => {
      await tables.deleteFrom('moves').execute()
      await tables
        .insertInto('moves')
        .values({ ...row, ...change })
        .execute()
    },
    { move: 'decides' },
  )

const inSeconds = (seconds: number) => new Date(clock.now() + seconds * 1000).toISOString()

const refused = (reason: RegExp) => (error: unknown) =>
  isFault(error, 'unavailable') && reason.test(error.detail.reason) && error.detail.retryAfterSeconds > 0

function gateSuite(dialect: string, open: () => Promise<Database>, skip: string | false): void {
  suite(`a move and the writes of ${dialect}`, { skip }, () => {
    let db: Database
    let other: Database
    beforeEach(async () => {
      db = await open()
      other = await open()
    })
    afterEach(async () => {
      await db.dispose()
      await other.dispose()
    })

    test('where everything moves on, changes are taken', async () => {
      await decide(db, { state: 'copying', until: inSeconds(30) })
      await other.write(addBlob('a'))
      assert.equal((await moveOf(db))?.state, 'copying')
    })

    test('frozen › refused in every process, but for what does not move; reads go on', async () => {
      await decide(db, { until: inSeconds(30) })
      for (const one of [db, other]) {
        await assert.rejects(one.write(addBlob('a')), refused(/for a moment, while everything moves to postgres:/))
        await assert.rejects(one.write(addBlob('a'), { sync: false }), refused(/for a moment/))
        assert.equal(await countBlobs(one), 0)
        await one.write(
          (tables) =>
            tables
              .insertInto('leases')
              .values({ name: 'a', holder: 'b', until: '' })
              .onConflict((conflict) => conflict.doNothing())
              .execute(),
          { move: 'ignores' },
        )
      }
    })

    test('a freeze that was not renewed is lifted by the first change, and its owner can see that', async () => {
      await decide(db, { until: inSeconds(0) })
      await other.write(addBlob('a'))
      assert.equal((await moveOf(db))?.state, 'copying')
    })

    test('a change that fails lifts nothing', async () => {
      await decide(db, { until: inSeconds(0) })
      await assert.rejects(
        other.write(async () => {
          throw new Error('never mind')
        }),
        /never mind/,
      )
      assert.equal((await moveOf(db))?.state, 'frozen')
    })

    test('moved, or being filled › refused for as long as it takes', async () => {
      await decide(db, { state: 'moved' })
      await assert.rejects(other.write(addBlob('a')), refused(/everything has moved to postgres:/))
      await decide(db, { state: 'filling' })
      for (const move of ['obeys', 'tidies'] as const)
        await assert.rejects(other.write(addBlob('a'), { move }), refused(/until everything has come from postgres:/))
    })

    test('arrived › the first change makes it a store like any other', async () => {
      await decide(db, { state: 'arrived' })
      await other.write(async () => undefined, { move: 'ignores' })
      await other.write(addBlob('collected'), { move: 'tidies' })
      assert.equal((await moveOf(db))?.state, 'arrived')
      await other.write(addBlob('a'))
      assert.equal(await moveOf(db), undefined)
    })

    test('whoever decides waits for the changes that came before', async () => {
      const began = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const early = db.write(async (tables) => {
        began.resolve()
        await go.promise
        await addBlob('early')(tables)
      })
      await began.promise
      let decided = false
      const freeze = decide(other, { until: inSeconds(30) }).then(async () => {
        decided = true
        return countBlobs(other)
      })
      const late = db.write(addBlob('late')).then(
        () => 1,
        (error: unknown) => {
          assert.ok(refused(/for a moment/)(error))
          return 0
        },
      )
      try {
        for (let i = 0; i < 20; i++) {
          await countBlobs(other)
          await nextTick()
        }
        assert.equal(decided, false)
      } finally {
        go.resolve()
      }
      await early
      assert.equal(await freeze, 1 + (await late))
      await assert.rejects(db.write(addBlob('later')), refused(/for a moment/))
    })

    test('of changes from all sides, those that were acknowledged are there when it is decided, and none comes after', async () => {
      for (let round = 0; round < 10; round++) {
        let acknowledged = 0
        let ended = false
        const writers = [db, other, db, other].map(async (one, writer) => {
          for (let i = 0; !ended; i++) {
            await one.write(addBlob(`${round}/${writer}/${i}`)).then(
              () => acknowledged++,
              (error: unknown) => {
                if (!isFault(error, 'unavailable')) throw error
                ended = true
              },
            )
          }
        })
        while (acknowledged < 20) await nextTick()
        const before = await countBlobs(db)
        await decide(round % 2 === 0 ? db : other, { until: inSeconds(30) })
        const frozen = await countBlobs(db)
        await Promise.all(writers)
        assert.equal(await countBlobs(db), frozen)
        assert.ok(frozen >= before)
        await decide(db, { state: 'copying' })
        await db.write((tables) => tables.deleteFrom('blobs').execute())
        assert.equal(acknowledged, frozen)
      }
    })
  })
}

const folder = mkdtempSync(join(tmpdir(), 'berth-gate-'))
let file = ''
beforeEach(() => {
  file = join(mkdtempSync(join(folder, 'x')), 'berth.db')
})
gateSuite('SQLite', () => openSqlite({ file, clock }), false)

let database: Awaited<ReturnType<typeof createTestDatabase>> | undefined
suite('on PostgreSQL', { skip: postgresSkip }, () => {
  beforeEach(async () => {
    database = await createTestDatabase()
  })
  afterEach(async () => {
    await database?.drop()
    database = undefined
  })
  const open = async () => openPostgres({ server: (await testPostgres()).serverOf(database?.name ?? ''), clock })
  gateSuite('PostgreSQL', open, postgresSkip)
})

after(() => rmSync(folder, { recursive: true }))
