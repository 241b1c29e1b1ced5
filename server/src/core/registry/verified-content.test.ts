import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf } from '@berth/oci'
import { manualClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { createContentVerifier } from './verified-content.ts'

const good = Buffer.from('hello, world')
const bad = Buffer.from('hello, w0rld')
const hour = 60 * 60 * 1000

async function* inChunks(bytes: Uint8Array, size = 5): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

/** What came out, and how it ended. */
async function drain(chunks: AsyncIterable<Uint8Array>): Promise<{ text: string; error?: unknown }> {
  let text = ''
  try {
    for await (const chunk of chunks) text += Buffer.from(chunk).toString()
    return { text }
  } catch (error) {
    return { text, error }
  }
}

describe('verified content', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const digest = digestOf(algorithm, good)

    test(`passes ${algorithm} bytes that are what their digest says`, async () => {
      const { verified } = createContentVerifier(manualClock())
      assert.deepEqual(await drain(verified(digest, good.length, inChunks(good))), { text: 'hello, world' })
    })

    test(`withholds the end of ${algorithm} bytes that are not`, async () => {
      const { verified } = createContentVerifier(manualClock())
      const { text, error } = await drain(verified(digest, bad.length, inChunks(bad)))
      assert.equal(text, 'hello, w0r')
      assert.ok(isFault(error, 'blobDamaged'))
      assert.equal(error.detail.digest, digest)
    })
  }

  const digest = digestOf('sha256', good)

  test('is believed for an hour, then proved again', async () => {
    const clock = manualClock()
    const { verified } = createContentVerifier(clock)
    await drain(verified(digest, good.length, inChunks(good)))
    clock.advance(hour - 1)
    assert.equal((await drain(verified(digest, bad.length, inChunks(bad)))).error, undefined)
    clock.advance(1)
    assert.ok(isFault((await drain(verified(digest, bad.length, inChunks(bad)))).error, 'blobDamaged'))
  })

  test('that failed once is not believed, nor is one that was not read to its end', async () => {
    const { verified } = createContentVerifier(manualClock())
    await drain(verified(digest, bad.length, inChunks(bad)))
    for await (const _ of verified(digest, good.length, inChunks(good))) break
    assert.ok(isFault((await drain(verified(digest, bad.length, inChunks(bad)))).error, 'blobDamaged'))
  })
})
