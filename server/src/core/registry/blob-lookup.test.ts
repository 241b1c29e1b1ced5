import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { at } from '../../../test/core.ts'
import { aBlob, type Content } from '../../../test/images.ts'
import { openTestIntegrity, type TestIntegrity } from '../../../test/integrity.ts'

const small = aBlob('a small blob')

async function read(core: TestIntegrity, { digest }: Content): Promise<Buffer> {
  const blob = await core.registry.getBlob(at('a'), digest)
  return Buffer.concat(await Array.fromAsync(chunksOf(await blob.read()), (chunk) => Buffer.from(chunk)))
}

async function* chunksOf(bytes: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (bytes instanceof Uint8Array) yield bytes
  else yield* bytes
}

/** Has others take its place in memory. */
async function crowdOut(core: TestIntegrity): Promise<void> {
  const others = Array.from({ length: 260 }, (_, index) => aBlob(Buffer.alloc(64 * 1024, `${index} `)))
  await Promise.all(others.map((blob) => core.push('a', blob)))
  for (const blob of others) await read(core, blob)
}

suite('a small blob', () => {
  test('is hashed whenever it comes from the store, also a moment after it was right', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', small)
    await read(core, small)
    await crowdOut(core)
    await core.flip(small)
    await assert.rejects(read(core, small), new RegExp(`${small.digest} is damaged`))
    assert.equal(await core.has('a', small), false)
    core.clock.advance(1_000)
    await core.push('a', small)
    assert.deepEqual(await read(core, small), small.bytes)
  })

  test('that is kept in memory › is right whatever the disk has by now', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', small)
    await read(core, small)
    await core.flip(small)
    assert.deepEqual(await read(core, small), small.bytes)
  })

  test('that is pushed anew › is read from the store again, once', async (t) => {
    await using core = await openTestIntegrity()
    const reads = t.mock.method(core.store, 'read')
    for (const expected of [1, 2]) {
      await core.push('a', small)
      for (let i = 0; i < 3; i++) assert.deepEqual(await read(core, small), small.bytes)
      assert.equal(reads.mock.callCount(), expected)
    }
  })
})
