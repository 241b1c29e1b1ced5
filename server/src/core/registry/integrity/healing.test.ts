import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { at, hourMs, once } from '../../../../test/core.ts'
import { anImage, type Content } from '../../../../test/images.ts'
import { openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'
import { isFault } from '../../../base/fault.ts'

const image = anImage({ layers: 1, seed: 'healed' })
const layer = image.layers[0] as Content

/** The image in `a`, its layer damaged and known to be. */
async function openWithDamage(): Promise<TestIntegrity & AsyncDisposable> {
  const core = await openTestIntegrity()
  await core.pushImage('a', image, 'v1')
  await core.flip(layer)
  await core.check({ repair: true })
  assert.equal(await core.has('a', layer), false)
  core.clock.advance(1_000)
  return core
}

async function assertServed(core: TestIntegrity, repository: string): Promise<void> {
  const blob = await core.registry.getBlob(at(repository), layer.digest)
  assert.deepEqual(Buffer.from((await blob.read()) as Uint8Array), layer.bytes)
  assert.deepEqual(await core.check(), [])
}

suite('a blob that is known to be damaged', () => {
  test('is no source for a mount', async () => {
    await using core = await openWithDamage()
    for (const from of ['a', undefined]) {
      assert.equal(await core.registry.mountBlob(at('b'), layer.digest, from, () => true), false)
    }
    await core.push('a', layer)
    assert.equal(await core.registry.mountBlob(at('b'), layer.digest, 'a', () => true), true)
    await assertServed(core, 'b')
  })

  test('is missing for a manifest that names it, and one that is there already stays', async () => {
    await using core = await openWithDamage()
    const other = anImage({ config: image.config, seed: 'healed', fields: { annotations: { other: 'yes' } } })
    const missing = (error: unknown) =>
      isFault(error, 'manifestBlobsUnknown') && String(error.detail.digests) === layer.digest
    await assert.rejects(core.putManifest('a', other.manifest, 'v2'), missing)
    await assert.rejects(core.putManifest('a', image.manifest, 'v2'), missing)
    await core.registry.getManifest(at('a'), { tag: 'v1' })
    await core.push('a', layer)
    await core.putManifest('a', other.manifest, 'v2')
    await assertServed(core, 'a')
  })

  test('is replaced by a push into any repository, for all of them', async () => {
    await using core = await openWithDamage()
    await core.push('b', layer)
    await assertServed(core, 'a')
    await assertServed(core, 'b')
  })

  test('is replaced by two pushes at once', async () => {
    await using core = await openWithDamage()
    await Promise.all([core.push('a', layer), core.push('b', layer), core.push('a', layer)])
    await assertServed(core, 'a')
    await assertServed(core, 'b')
  })

  test('stays so when the push that would heal it sends other bytes', async () => {
    await using core = await openWithDamage()
    const wrong = Buffer.from(layer.bytes).reverse()
    await assert.rejects(core.registry.pushBlob(at('a'), layer.digest, once(wrong)), (error) =>
      isFault(error, 'digestMismatch'),
    )
    assert.equal(await core.has('a', layer), false)
  })

  test('can be read to its end while it is replaced', async () => {
    await using core = await openWithDamage()
    const reading = await core.store.read(layer.digest)
    await core.push('a', layer)
    const chunks = await Array.fromAsync(reading, (chunk) => Buffer.from(chunk))
    assert.equal(Buffer.concat(chunks).length, layer.bytes.length)
    await assertServed(core, 'a')
  })

  test('is collected like any other when nothing links it', async () => {
    await using core = await openWithDamage()
    await core.deleteManifest('a', image.manifest.digest)
    core.clock.advance(hourMs + 1)
    await core.collect()
    assert.equal(await core.store.stat(layer.digest), undefined)
    assert.deepEqual(await core.check(), [])
    await core.push('a', layer)
    assert.equal(await core.has('a', layer), true)
  })

  test('nobody knew of the damage › a push replaces the bytes all the same', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    await core.flip(layer)
    await core.push('a', layer)
    await assertServed(core, 'a')
  })
})

suite('a push whose process died while it closed the session', () => {
  /** The session as the dead process left it, its bytes in the store's session or moved to their place. */
  async function openWithDeadPush(t: TestContext, moved: boolean) {
    const core = await openWithDamage()
    const { session } = await core.registry.startUpload(at('a'))
    const commit = core.store.commit.bind(core.store)
    const dying = t.mock.method(core.store, 'commit', async (...args: Parameters<typeof commit>) => {
      if (moved) await commit(...args)
      throw new Error('died')
    })
    await assert.rejects(
      core.registry.finishUpload(at('a'), session, layer.digest, { bytes: once(layer.bytes) }),
      /died/,
    )
    dying.mock.restore()
    return { core, session }
  }

  test('after the bytes had replaced the damaged ones › the second try enters them', async (t) => {
    const { core, session } = await openWithDeadPush(t, true)
    await using _ = core
    assert.equal(await core.has('a', layer), false)
    await core.registry.finishUpload(at('a'), session, layer.digest)
    await assertServed(core, 'a')
  })

  test('before that, and its bytes are lost › the second try does not take the damaged ones for its own', async (t) => {
    const { core, session } = await openWithDeadPush(t, false)
    await using _ = core
    for await (const { session: stored } of core.store.listSessions()) await rm(join(core.folder, 'uploads', stored))
    await writeFile(core.fileOf(layer), Buffer.from(layer.bytes).reverse())
    await assert.rejects(core.registry.finishUpload(at('a'), session, layer.digest), (error) =>
      isFault(error, 'blobUploadUnknown'),
    )
    assert.equal(await core.has('a', layer), false)
    await core.push('a', layer)
    await assertServed(core, 'a')
  })
})
