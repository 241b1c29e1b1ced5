import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import { suite, test } from 'node:test'
import type { Digest } from '@berth/oci'
import { at } from '../../../test/core.ts'
import { aBlob, type Content } from '../../../test/images.ts'
import { openTestIntegrity, type TestIntegrity } from '../../../test/integrity.ts'
import { isFault } from '../../base/fault.ts'

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
    await assert.rejects(read(core, small), (error) => isFault(error, 'blobDamaged'))
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

suite('a blob that the store lacks', () => {
  const large = aBlob(Buffer.alloc(200_000, 'a large blob'))
  const isDamaged = (error: unknown) => isFault(error, 'blobDamaged')

  test('is served when a push puts it there before the second look', async (t) => {
    for (const blob of [small, large]) {
      await using core = await openTestIntegrity()
      await core.push('a', blob)
      await rm(core.fileOf(blob))
      const stat = core.store.stat.bind(core.store)
      t.mock.method(core.store, 'stat', async (digest: Digest) => {
        await writeFile(core.fileOf(blob), blob.bytes)
        return stat(digest)
      })
      assert.deepEqual(await read(core, blob), blob.bytes)
      assert.equal(await core.has('a', blob), true)
    }
  })

  test('is not marked when somebody has pushed it by then', async (t) => {
    await using core = await openTestIntegrity()
    await core.push('a', large)
    await rm(core.fileOf(large))
    core.clock.advance(1_000)
    const write = core.db.write.bind(core.db)
    let pushed = false
    t.mock.method(core.db, 'write', async (...args: Parameters<typeof write>) => {
      if (!pushed) {
        pushed = true
        await core.push('a', large)
      }
      return write(...args)
    })
    await assert.rejects(read(core, large), (error) => isFault(error, 'blobUnknown'))
    assert.deepEqual(await read(core, large), large.bytes)
  })

  test('is not marked where the store has nothing else either: it may be gone', async () => {
    await using core = await openTestIntegrity()
    const many = Array.from({ length: 14 }, (_, index) => aBlob(`blob ${index}`))
    await core.push('a', small, ...many)
    const folder = `${core.folder}/sha256`
    await rename(folder, `${folder}-elsewhere`)
    const [first, ...others] = many as [Content, ...Content[]]
    const sameOne = await Promise.allSettled(Array.from({ length: 12 }, () => read(core, first)))
    assert.ok(sameOne.every(({ status }) => status === 'rejected'))
    for (const blob of others) await assert.rejects(read(core, blob), isDamaged)
    assert.deepEqual(await unmarked(core, many), many)

    await rename(`${folder}-elsewhere`, folder)
    await rm(core.fileOf(many[12] as Content))
    await read(core, small)
    await assert.rejects(read(core, many[12] as Content), isDamaged)
    assert.deepEqual(await unmarked(core, many), many.toSpliced(12, 1))
  })

  async function unmarked(core: TestIntegrity, blobs: readonly Content[]): Promise<Content[]> {
    const found = await Promise.all(blobs.map((blob) => core.has('a', blob)))
    return blobs.filter((_, index) => found[index])
  }
})

suite('parts of a blob', () => {
  const mebibyte = 1024 * 1024
  const readPart = async (core: TestIntegrity, { digest }: Content, start: number) => {
    const blob = await core.registry.getBlob(at('a'), digest)
    const chunks = chunksOf(await blob.read({ start, end: start + 9 }))
    return Buffer.concat(await Array.fromAsync(chunks, (chunk) => Buffer.from(chunk)))
  }

  for (const [size, reads] of [
    [1_000, 1],
    [8 * mebibyte, 4],
    [8 * mebibyte + 1, 3],
  ] as const) {
    test(`three of ${size} bytes › ${reads} readings`, async (t) => {
      await using core = await openTestIntegrity()
      const blob = aBlob(Buffer.alloc(size, 'some bytes '))
      await core.push('a', blob)
      const { mock } = t.mock.method(core.store, 'read')
      for (const start of [0, 100, 990])
        assert.deepEqual(await readPart(core, blob, start), blob.bytes.subarray(start, start + 10))
      assert.equal(mock.callCount(), reads)
    })
  }
})
