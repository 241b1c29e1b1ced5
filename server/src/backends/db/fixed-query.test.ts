import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { addBlob } from './database.contract.ts'
import type { Database } from './database.ts'
import { fixedQuery, ofLength } from './fixed-query.ts'
import { openSqlite } from './sqlite.ts'

let built = 0
const between = fixedQuery<{ readonly from: string; readonly to: string }>()((db, param) => {
  built++
  return db
    .selectFrom('blobs')
    .where('digest', '<', param('to'))
    .where('digest', '>=', param('from'))
    .orderBy('digest')
    .select('digest')
})

const among = ofLength((length) =>
  fixedQuery<{ readonly digests: readonly string[]; readonly below: string }>()((db, param) =>
    db
      .selectFrom('blobs')
      .where('digest', '<', param('below'))
      .where('digest', 'in', param.list('digests', length))
      .orderBy('digest')
      .select('digest'),
  ),
)

const count = fixedQuery<object>()((db) => db.selectFrom('blobs').select(({ fn }) => fn.countAll<number>().as('blobs')))

describe('a fixed query', () => {
  let home: string
  let db: Database
  let other: Database
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'berth-fixed-'))
    db = await openSqlite({ file: join(home, 'berth.db') })
    other = await openSqlite({ file: join(home, 'berth.db') })
  })
  after(async () => {
    await db.dispose()
    await other.dispose()
    await rm(home, { recursive: true })
  })
  const counted = async (): Promise<number | undefined> => (await db.select(count, {}))[0]?.blobs

  test('takes its parameters by name, whatever their order, and is built once', async () => {
    await db.write(async (tables) => {
      for (const digest of ['sha256:a', 'sha256:b', 'sha256:c']) await addBlob(digest)(tables)
    })
    const digests = async (from: string, to: string) =>
      (await db.select(between, { from, to })).map((row) => row.digest)
    assert.deepEqual(await digests('sha256:a', 'sha256:c'), ['sha256:a', 'sha256:b'])
    assert.deepEqual(await digests('sha256:b', 'sha256:z'), ['sha256:b', 'sha256:c'])
    assert.deepEqual(await digests('sha256:x', 'sha256:z'), [])
    assert.equal(built, 1)
  })

  test('takes lists, by a query for each length', async () => {
    await db.write(async (tables) => {
      for (const digest of ['sha256:l1', 'sha256:l2', 'sha256:l3']) await addBlob(digest)(tables)
    })
    const found = async (...digests: string[]) =>
      (await db.select(among(digests.length), { digests, below: 'sha256:l3' })).map((row) => row.digest)
    assert.deepEqual(await found('sha256:l2'), ['sha256:l2'])
    assert.deepEqual(await found('sha256:l3', 'sha256:l2', 'sha256:l1'), ['sha256:l1', 'sha256:l2'])
    assert.equal(among(3), among(3))
    await assert.rejects(db.select(among(2), { digests: ['sha256:l1'], below: 'sha256:l3' }), /takes 2 values/)
  })

  test("sees this process's own commit at once, in the same turn of the event loop", async () => {
    const before = await counted()
    const writing = db.write(addBlob('sha256:own'), { sync: false })
    await counted()
    await writing
    assert.equal(await counted(), (before ?? 0) + 1)
  })

  test("sees another process's commit in the next turn", async () => {
    const before = await counted()
    await other.write(addBlob('sha256:other'))
    await nextTurn()
    assert.equal(await counted(), (before ?? 0) + 1)
  })

  test('keeps no snapshot open between turns, which would hold back the log', async () => {
    await counted()
    await nextTurn()
    await nextTurn()

    const third = new DatabaseSync(join(home, 'berth.db'), { timeout: 0 })
    try {
      const result = third.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
      assert.equal(result?.busy, 0)
    } finally {
      third.close()
    }
  })

  test('is refused inside a write, like every read from outside', async () => {
    await assert.rejects(
      db.write(() => counted()),
      /use the handle it gave you/,
    )
  })
})
