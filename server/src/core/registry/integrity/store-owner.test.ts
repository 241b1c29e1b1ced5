import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { anImage } from '../../../../test/images.ts'
import { brief, openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'

const image = anImage({ layers: 1, seed: 'owned' })
const [tenant, other] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002']

/** With the image in `a`, and a later tenant than the one that owns the store. */
async function openFounded(): Promise<TestIntegrity & AsyncDisposable> {
  const core = await openTestIntegrity()
  const later = '00000000-0000-4000-8000-000000000000'
  await core.db.write((tables) =>
    tables
      .insertInto('tenants')
      .values([
        { id: later, created_at: '2026-02-01T00:00:00.000Z' },
        { id: tenant, created_at: '2026-01-01T00:00:00.000Z' },
      ])
      .execute(),
  )
  await core.pushImage('a', image, 'v1')
  return core
}

const loseAll = (core: TestIntegrity) =>
  Promise.all([...image.layers, image.config].map((blob) => rm(core.fileOf(blob))))

suite('the store of a database', () => {
  test('that says so › is looked at, also where it has lost everything', async () => {
    await using core = await openFounded()
    await core.store.setOwner(tenant)
    assert.deepEqual(await core.check(), [])
    await loseAll(core)
    const kinds = (await core.check()).map(({ kind }) => kind)
    assert.deepEqual(kinds, ['missing blob', 'missing blob'])
  })

  test('that does not say so and has its blobs › a repair makes it say so', async () => {
    await using core = await openFounded()
    assert.deepEqual(brief(await core.check()), [`found unmarked store: ${tenant}`])
    assert.equal(await core.store.owner(), undefined)
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired unmarked store: ${tenant}`])
    assert.equal(await core.store.owner(), tenant)
    assert.deepEqual(await core.check(), [])
  })

  test('that is somebody else’s › nothing else is looked at or touched', async () => {
    await using core = await openFounded()
    await core.store.setOwner(other)
    await loseAll(core)
    assert.deepEqual(brief(await core.check()), [`found foreign store: ${other}`])
    for (const acceptLoss of [false, true]) {
      assert.deepEqual(brief(await core.check({ repair: true, acceptLoss })), [`left foreign store: ${other}`])
    }
    assert.equal(await core.store.owner(), other)
    await core.store.setOwner(tenant)
    assert.equal((await core.check()).filter(({ kind }) => kind === 'missing blob').length, 2)
  })

  test('that may not be mounted › nothing is marked before somebody says that all is lost', async () => {
    await using core = await openFounded()
    await loseAll(core)
    assert.deepEqual(brief(await core.check()), [`found absent store: ${tenant}`])
    assert.deepEqual(brief(await core.check({ repair: true })), [`left absent store: ${tenant}`])
    assert.equal(await core.store.owner(), undefined)
    const [first, ...rest] = brief(await core.check({ repair: true, acceptLoss: true }))
    assert.equal(first, `repaired absent store: ${tenant}`)
    assert.equal(rest.filter((line) => line.startsWith('repaired missing blob')).length, 2)
    assert.equal(await core.store.owner(), tenant)
  })
})
