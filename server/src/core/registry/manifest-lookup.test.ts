import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { at, openTestCore, type TestCore } from '../../../test/core.ts'
import { anImage, aSignedSchema1 } from '../../../test/images.ts'
import { isFault } from '../../base/fault.ts'

const image = anImage({ layers: 1, seed: 'lookup' })
const { digest, bytes } = image.manifest

/** Changes a byte of the stored manifest behind everybody's back. */
const damage = (core: TestCore) =>
  core.db.write((tables) =>
    tables
      .updateTable('manifests')
      .set({ bytes: Buffer.from(bytes.map((byte, index) => (index === 20 ? byte ^ 1 : byte))) })
      .where('digest', '=', digest)
      .execute(),
  )

const isUnknown = (error: unknown) => isFault(error, 'manifestUnknown')

suite('a manifest', () => {
  test('whose stored bytes are damaged is not there, by tag as by digest', async () => {
    await using core = await openTestCore()
    await core.pushImage('a', image, 'v1')
    await damage(core)
    await assert.rejects(core.registry.getManifest(at('a'), { digest }), isUnknown)
    await assert.rejects(core.registry.getManifest(at('a'), { tag: 'v1' }), isUnknown)
  })

  test('that is damaged is healed by pushing it again', async () => {
    await using core = await openTestCore()
    await core.pushImage('a', image, 'v1')
    await damage(core)
    await core.pushImage('a', image, 'v1')
    const found = await core.registry.getManifest(at('a'), { tag: 'v1' })
    assert.deepEqual(Buffer.from(found.bytes), bytes)
  })

  test('that was deleted is gone at once, though its bytes are remembered', async () => {
    await using core = await openTestCore()
    await core.pushImage('a', image, 'v1')
    await core.registry.getManifest(at('a'), { digest })
    await core.deleteManifest('a', digest)
    await assert.rejects(core.registry.getManifest(at('a'), { digest }), isUnknown)
  })

  test('of schema 1, which is named by its payload, is found by that name', async () => {
    await using core = await openTestCore()
    await core.pushImage('a', image, 'v1')
    const signed = aSignedSchema1(image.layers)
    const { digest: name } = await core.registry.putManifest(at('a'), { tag: 'old' }, signed.mediaType, signed.bytes)
    const found = await core.registry.getManifest(at('a'), { digest: name })
    assert.deepEqual(Buffer.from(found.bytes), signed.bytes)
  })
})
