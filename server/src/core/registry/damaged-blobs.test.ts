import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { at, openTestCore, type TestCore } from '../../../test/core.ts'
import { anImage } from '../../../test/images.ts'
import { isFault } from '../../base/fault.ts'

const image = anImage()
const [layer = image.config] = image.layers

async function damage(core: TestCore): Promise<void> {
  await core.db.write((tables) =>
    tables.updateTable('blobs').set({ damaged_at: '2026' }).where('digest', '=', layer.digest).execute(),
  )
}

suite('a blob that was found to be damaged', () => {
  test('is not mounted', async () => {
    await using core = await openTestCore()
    await core.push('a', layer)
    await damage(core)
    assert.equal(await core.registry.mountBlob(at('b'), layer.digest, 'a', () => true), false)
  })

  test('is missing for a manifest that names it', async () => {
    await using core = await openTestCore()
    await core.push('a', image.config, layer)
    await damage(core)
    await assert.rejects(core.putManifest('a', image.manifest, 'v1'), (error) => {
      assert.ok(isFault(error, 'manifestBlobsUnknown'))
      assert.deepEqual(error.detail.digests, [layer.digest])
      return true
    })
  })

  test('is as good as new once it is pushed again, by whomever', async () => {
    await using core = await openTestCore()
    await core.pushImage('a', image, 'v1')
    await damage(core)
    assert.equal(await core.has('a', layer), false)
    core.clock.advance(1_000)
    await core.push('b', layer)
    assert.equal(await core.has('a', layer), true)
    const row = await core.db.read((tables) =>
      tables.selectFrom('blobs').where('digest', '=', layer.digest).select(['damaged_at', 'scrubbed_at']).execute(),
    )
    assert.deepEqual(row, [{ damaged_at: null, scrubbed_at: new Date(core.clock.now()).toISOString() }])
  })
})
