import assert from 'node:assert/strict'
import { hash, randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { testSettings } from '../../../test/app.ts'
import { openTestDatabase } from '../../../test/database.ts'
import type { Database } from '../../backends/db/database.ts'
import { manualClock } from '../../base/clock.ts'
import { sealerOf } from '../../base/seal.ts'
import { createRegistries, type Registries } from './registries.ts'

describe('registries', () => {
  let db: Database
  let registries: Registries
  const clock = manualClock()
  beforeEach(async () => {
    db = await openTestDatabase({ clock })
    registries = createRegistries(db, sealerOf(randomBytes(32)), clock)
  })
  afterEach(() => db.dispose())

  test('one is made with its settings and found by its name', async () => {
    const settings = { ...testSettings, sku: 'Basic', anonymousPullEnabled: true } as const
    assert.equal(await registries.createRegistry('berth', settings), true)
    assert.deepEqual(await registries.findRegistry('berth'), { name: 'berth', ...settings })
    assert.equal(await registries.findRegistry('other'), undefined)
  })

  test('a name is taken once; the first one keeps its passwords', async () => {
    await registries.createRegistry('berth', testSettings)
    const before = await registries.listPasswords('berth')
    assert.equal(await registries.createRegistry('berth', { ...testSettings, sku: 'Basic' }), false)
    assert.deepEqual(await registries.listPasswords('berth'), before)
    assert.equal((await registries.findRegistry('berth'))?.sku, 'Premium')
  })

  test('are listed by name', async () => {
    for (const name of ['b', 'c', 'a']) await registries.createRegistry(name, testSettings)
    assert.deepEqual(
      (await registries.listRegistries()).map(({ name }) => name),
      ['a', 'b', 'c'],
    )
  })

  test('a change touches what it names, in the registry that it names', async () => {
    await registries.createRegistry('berth', testSettings)
    await registries.createRegistry('other', testSettings)
    assert.equal(await registries.updateRegistry('berth', { adminUserEnabled: false }), true)
    assert.deepEqual(await registries.findRegistry('berth'), {
      name: 'berth',
      ...testSettings,
      adminUserEnabled: false,
    })
    assert.deepEqual(await registries.findRegistry('other'), { name: 'other', ...testSettings })
    assert.equal(await registries.updateRegistry('berth', {}), true)
    assert.equal(await registries.updateRegistry('none', {}), false)
    assert.equal(await registries.updateRegistry('none', { sku: 'Basic' }), false)
  })

  test('two passwords of 43 plain letters, unlike those of any other registry', async () => {
    await registries.createRegistry('berth', testSettings)
    await registries.createRegistry('other', testSettings)
    const all = [...(await registries.listPasswords('berth')), ...(await registries.listPasswords('other'))]
    assert.deepEqual(
      all.map(({ name }) => name),
      ['password', 'password2', 'password', 'password2'],
    )
    for (const { value } of all) assert.match(value, /^[A-Za-z0-9]{43}$/)
    assert.equal(new Set(all.map(({ value }) => value)).size, 4)
    assert.deepEqual(await registries.listPasswords('none'), [])
  })

  test('a regenerated password is another one, and the other stays', async () => {
    await registries.createRegistry('berth', testSettings)
    const [first, second] = await registries.listPasswords('berth')
    const fresh = await registries.regeneratePassword('berth', 'password2')
    assert.notEqual(fresh, second?.value)
    const digest = hash('sha256', fresh ?? '', 'buffer')
    assert.deepEqual(await registries.listPasswords('berth'), [first, { name: 'password2', value: fresh, digest }])
    assert.equal(await registries.regeneratePassword('none', 'password'), undefined)
  })

  test('passwords lie sealed, and open in their own row only', async () => {
    await registries.createRegistry('berth', testSettings)
    const [first] = await registries.listPasswords('berth')
    const rows = await db.read((tables) => tables.selectFrom('registry_passwords').selectAll().execute())
    for (const row of rows) assert.ok(!Buffer.from(row.sealed).includes(first?.value ?? ''))
    const other = rows.find(({ name }) => name === 'password2')
    await db.write((tables) =>
      tables
        .updateTable('registry_passwords')
        .set({ sealed: other?.sealed ?? new Uint8Array() })
        .where('name', '=', 'password')
        .execute(),
    )
    await assert.rejects(registries.listPasswords('berth'))
  })
})
