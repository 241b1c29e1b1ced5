import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { at, hourMs, openTestCore, type TestCore } from '../../../test/core.ts'
import { aBlob, type Content } from '../../../test/images.ts'
import { createLinkRenewal } from './links.ts'

const blob = aBlob('told to be there')

async function linkOf(core: TestCore, { digest }: Content) {
  return core.db.read((tables) =>
    tables
      .selectFrom('repository_blobs')
      .where('digest', '=', digest)
      .select(['repository_id', 'unused_since'])
      .executeTakeFirstOrThrow(),
  )
}

suite('telling a client that a blob is there', () => {
  test('renews a link that nothing has used for more than half the grace, and no earlier', async (t) => {
    await using core = await openTestCore()
    const renewLink = createLinkRenewal(core.db, core.clock, hourMs)
    await core.push('a', blob)
    const write = t.mock.method(core.db, 'write')
    for (const [advance, renewed] of [[hourMs / 2, false] as const, [1, true] as const]) {
      core.clock.advance(advance)
      const link = await linkOf(core, blob)
      assert.equal(await renewLink(link.repository_id, blob.digest, link.unused_since), true)
      assert.equal(write.mock.callCount(), renewed ? 1 : 0)
    }
    core.clock.advance(hourMs)
    assert.deepEqual(await core.collect(), [])
    assert.equal(await core.has('a', blob), true)
  })

  test('costs nothing for a link that a manifest uses', async (t) => {
    await using core = await openTestCore()
    const write = t.mock.method(core.db, 'write')
    assert.equal(await createLinkRenewal(core.db, core.clock, hourMs)(1, blob.digest, null), true)
    assert.equal(write.mock.callCount(), 0)
  })

  test('says so when the link has gone meanwhile', async () => {
    await using core = await openTestCore()
    await core.push('a', blob)
    const link = await linkOf(core, blob)
    await core.registry.deleteBlob(at('a'), blob.digest)
    core.clock.advance(hourMs)
    const renewLink = createLinkRenewal(core.db, core.clock, hourMs)
    assert.equal(await renewLink(link.repository_id, blob.digest, link.unused_since), false)
  })
})
