import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { openTestDatabase } from '../../../test/database.ts'
import type { Database } from '../../backends/db/database.ts'
import { manualClock } from '../../base/clock.ts'
import { sealerOf } from '../../base/seal.ts'
import { createSigningKeys } from './signing-keys.ts'

const dayMs = 86_400_000

describe('signing keys', () => {
  let db: Database
  let clock: ReturnType<typeof manualClock>
  let sealKey: Uint8Array
  beforeEach(async () => {
    clock = manualClock()
    db = await openTestDatabase({ clock })
    sealKey = randomBytes(32)
  })
  afterEach(() => db.dispose())

  /** As another process would have them: the same database, nothing in memory. */
  const aProcess = () => createSigningKeys(db, sealerOf(sealKey), clock)
  const countKeys = async () =>
    (await db.read((tables) => tables.selectFrom('signing_keys').select('kid').execute())).length

  test('the first is made when it is needed, and stays', async () => {
    const keys = aProcess()
    assert.equal(await countKeys(), 0)
    const { kid } = await keys.getSigningKey()
    assert.equal((await keys.getSigningKey()).kid, kid)
    assert.equal((await aProcess().getSigningKey()).kid, kid)
    assert.equal(await countKeys(), 1)
  })

  test('processes that begin together agree on one', async () => {
    const kids = await Promise.all(Array.from({ length: 3 }, async () => (await aProcess().getSigningKey()).kid))
    assert.equal(new Set(kids).size, 1)
    assert.equal(await countKeys(), 1)
  })

  test("another process's key verifies at once", async () => {
    const other = aProcess()
    assert.equal(await other.findVerificationKey('nobody'), undefined)
    const { kid } = await aProcess().getSigningKey()
    clock.advance(1_000)
    assert.notEqual(await other.findVerificationKey(kid), undefined)
  })

  test('an unknown name does not make a process read the table again and again', async () => {
    let reads = 0
    const counted: Database = {
      ...db,
      read(fn) {
        reads++
        return db.read(fn)
      },
      write: (fn, options) => db.write(fn, options),
    }
    const keys = createSigningKeys(counted, sealerOf(sealKey), clock)
    for (let count = 0; count < 50; count++) assert.equal(await keys.findVerificationKey(`unknown ${count}`), undefined)
    assert.equal(reads, 1)
  })

  test('a rotation makes another one sign, and the older one still verifies', async () => {
    const keys = aProcess()
    const old = await keys.getSigningKey()
    clock.advance(1)
    await keys.rotate()
    const young = await keys.getSigningKey()
    assert.notEqual(young.kid, old.kid)
    assert.notEqual(await keys.findVerificationKey(old.kid), undefined)
    clock.advance(60_000)
    assert.equal((await aProcess().getSigningKey()).kid, young.kid)
  })

  test('another process signs with the new one within a minute', async () => {
    const [one, other] = [aProcess(), aProcess()]
    const old = await other.getSigningKey()
    clock.advance(1)
    await one.rotate()
    clock.advance(60_000)
    assert.notEqual((await other.getSigningKey()).kid, old.kid)
  })

  test('after 90 days the next one signs; a day later the older one verifies nothing any more and is dropped', async () => {
    const keys = aProcess()
    const old = await keys.getSigningKey()
    clock.advance(90 * dayMs - 1)
    assert.equal((await keys.getSigningKey()).kid, old.kid)
    clock.advance(1)
    const young = await keys.getSigningKey()
    assert.notEqual(young.kid, old.kid)
    assert.notEqual(await keys.findVerificationKey(old.kid), undefined)
    clock.advance(dayMs)
    assert.equal(await keys.findVerificationKey(old.kid), undefined)
    assert.notEqual(await keys.findVerificationKey(young.kid), undefined)
    clock.advance(89 * dayMs)
    await keys.getSigningKey()
    assert.equal(await countKeys(), 2)
  })

  test('private keys lie sealed, and open under their own name only', async () => {
    const { kid } = await aProcess().getSigningKey()
    const [row] = await db.read((tables) => tables.selectFrom('signing_keys').selectAll().execute())
    assert.ok(row)
    assert.ok(!Buffer.from(row.sealed_private_key).includes('PRIVATE KEY'))
    assert.equal(JSON.parse(row.public_key).d, undefined)
    const renamed = 'renamed'
    await db.write((tables) =>
      tables.updateTable('signing_keys').set({ kid: renamed }).where('kid', '=', kid).execute(),
    )
    await assert.rejects(aProcess().getSigningKey())
  })
})
