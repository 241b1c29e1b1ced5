/** What every blob store must do; a driver's test file runs it and adds only what is special to that driver. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Digest, type DigestAlgorithm, digestOf, toDigest } from '@berth/oci'
import { Fault, isFault } from '../../base/fault.ts'
import type { BlobStore, ByteRange } from './blob-store.ts'

export interface ContractOptions {
  /** Reason by test title. */
  readonly skip?: Readonly<Record<string, string>>
  /** How many bytes the store may hold while one blob passes through. */
  readonly heldBytes?: number
}

/** open: a new, empty store; the contract disposes it. */
export function blobStoreContract(
  name: string,
  open: () => Promise<BlobStore>,
  { skip = {}, heldBytes = 8 * 1024 * 1024 }: ContractOptions = {},
): void {
  describe(`${name} blob store`, () => {
    let store: BlobStore
    before(async () => {
      store = await open()
    })
    after(() => store.dispose())

    const skips = new Map(Object.entries(skip))
    const it = (title: string, run: () => Promise<void>): void => {
      const reason = skips.get(title)
      skips.delete(title)
      void test(title, reason === undefined ? {} : { skip: reason }, run)
    }

    describe('append', () => {
      it('several appends become one blob', async () => {
        const bytes = someBytes(700_000)
        const session = await store.begin()
        assert.match(session, /^[0-9a-f]{32}$/)
        assert.equal(await store.append(session, 0, chunks(bytes.subarray(0, 5))), 5)
        assert.equal(await store.append(session, 5, chunks(bytes.subarray(5, 400_000), 1_000)), 400_000)
        assert.equal(await store.append(session, 400_000, chunks(bytes.subarray(400_000))), 700_000)
        await store.commit(session, 700_000, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('an append that is sent twice counts once', async () => {
        const bytes = someBytes(300_000)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes.subarray(0, 200_000)))
        assert.equal(await store.append(session, 0, chunks(bytes.subarray(0, 200_000))), 200_000)
        assert.equal(await store.append(session, 100_000, chunks(bytes.subarray(100_000))), 300_000)
        await store.commit(session, 300_000, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('an append at an earlier offset drops what an unrecorded one left behind', async () => {
        const session = await store.begin()
        await store.append(session, 0, chunks(Buffer.from('kept and dropped for good')))
        assert.equal(await store.append(session, 4, chunks(Buffer.from(' new'))), 8)
        const wanted = Buffer.from('kept new')
        await store.commit(session, wanted.length, sha256(wanted))
        assert.deepEqual(await readAll(store, sha256(wanted)), new Uint8Array(wanted))
      })

      it('an append beyond the end is out of order and changes nothing', async () => {
        const bytes = someBytes(10)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        await assert.rejects(store.append(session, 11, chunks(bytes)), (error) => {
          assert.ok(isFault(error, 'chunkOutOfOrder'))
          assert.deepEqual(error.detail, { session, expectedOffset: 10 })
          return true
        })
        await store.commit(session, 10, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('an append that breaks off keeps what arrived and passes the error on', async () => {
        const bytes = someBytes(900_000)
        const broken = new Error('client gone')
        const session = await store.begin()
        const source = async function* () {
          yield* chunks(bytes.subarray(0, 600_000), 64_000)
          throw broken
        }
        await assert.rejects(store.append(session, 0, source()), broken)
        assert.equal(await store.append(session, 600_000, chunks(bytes.subarray(600_000))), 900_000)
        await store.commit(session, 900_000, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('the giver may reuse its chunks', async () => {
        const bytes = someBytes(2_000_000)
        const session = await store.begin()
        await store.append(session, 0, reusedChunks(bytes, 10_000))
        await store.commit(session, bytes.length, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('an append of nothing leaves the session as it was', async () => {
        const bytes = someBytes(10)
        const session = await store.begin()
        assert.equal(await store.append(session, 0, chunks(Buffer.alloc(0))), 0)
        assert.equal(await store.append(session, 0, chunks(bytes)), 10)
        assert.equal(await store.append(session, 10, noChunks()), 10)
        await store.commit(session, 10, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('a newer append takes over from one whose client stalls', async () => {
        const bytes = someBytes(100)
        const session = await store.begin()
        const stalled = stallingSource(bytes.subarray(0, 50))
        const older = store.append(session, 0, stalled.source)
        await stalled.reached
        assert.equal(await store.append(session, 0, chunks(bytes)), 100)
        stalled.goOn(someBytes(50))
        await assert.rejects(older, isFaultOf('uploadBusy'))
        await store.commit(session, 100, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      it('names that no session can have are unknown', async () => {
        const hostile = ['', '../../x', '/etc/passwd', 'A'.repeat(32), `${'a'.repeat(32)}\n`, 'a'.repeat(31), '.', '\0']
        for (const session of hostile) {
          await assert.rejects(store.append(session, 0, chunks(someBytes(1))), isFaultOf('blobUploadUnknown'))
          await assert.rejects(store.commit(session, 1, sha256(someBytes(1))), isFaultOf('blobUploadUnknown'))
          await store.abort(session)
        }
      })

      it('a session that was never begun is unknown', async () => {
        const session = 'ab'.repeat(16)
        await assert.rejects(store.append(session, 1, chunks(someBytes(1))), isFaultOf('blobUploadUnknown'))
        await assert.rejects(store.commit(session, 0, sha256(someBytes(0))), isFaultOf('blobUploadUnknown'))
        await store.abort(session)
      })
    })

    describe('commit', () => {
      it('a commit of fewer bytes than arrived takes the first ones', async () => {
        const bytes = someBytes(1_000)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        await store.commit(session, 600, sha256(bytes.subarray(0, 600)))
        assert.deepEqual(await store.stat(sha256(bytes.subarray(0, 600))), { size: 600 })
      })

      it('a commit of more bytes than are there says how many there are, and the session goes on', async () => {
        const bytes = someBytes(1_001)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        await assert.rejects(store.commit(session, 1_002, sha256(bytes)), (error) => {
          assert.ok(isFault(error, 'chunkOutOfOrder'))
          assert.equal(error.detail.expectedOffset, 1_001)
          return true
        })
        assert.equal(await store.stat(sha256(bytes)), undefined)
        await store.commit(session, 1_001, sha256(bytes))
        assert.deepEqual(await store.stat(sha256(bytes)), { size: 1_001 })
      })

      it('a wrong digest is refused with the right one, and the session is gone', async () => {
        const bytes = someBytes(1_003)
        const wrong = sha256(someBytes(1_004))
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        await assert.rejects(store.commit(session, bytes.length, wrong), (error) => {
          assert.ok(isFault(error, 'digestMismatch'))
          assert.deepEqual(error.detail, { expected: wrong, actual: sha256(bytes) })
          return true
        })
        assert.equal(await store.stat(wrong), undefined)
        assert.equal(await store.stat(sha256(bytes)), undefined)
        await assert.rejects(store.commit(session, bytes.length, sha256(bytes)), isFaultOf('blobUploadUnknown'))
      })

      it('a digest that is there already does not excuse wrong bytes', async () => {
        const secret = await aBlob(store, someBytes(1_005))
        const session = await store.begin()
        await store.append(session, 0, noChunks())
        await assert.rejects(store.commit(session, 0, secret), isFaultOf('digestMismatch'))
        await assert.rejects(store.commit(session, 0, secret), isFaultOf('blobUploadUnknown'))
      })

      it('sha512 digests are stored beside sha256', async () => {
        const bytes = someBytes(70_000)
        const digest = await aBlob(store, bytes, 'sha512')
        assert.match(digest, /^sha512:/)
        assert.deepEqual(await readAll(store, digest), bytes)
        assert.equal(await store.stat(sha256(bytes)), undefined)
      })

      it('two sessions may commit one digest at once', async () => {
        const bytes = someBytes(200_001)
        const sessions = await Promise.all([store.begin(), store.begin(), store.begin()])
        for (const session of sessions) await store.append(session, 0, chunks(bytes))
        await Promise.all(sessions.map((session) => store.commit(session, bytes.length, sha256(bytes))))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
        for (const session of sessions) {
          await assert.rejects(store.append(session, bytes.length, noChunks()), isFaultOf('blobUploadUnknown'))
        }
      })

      it('an append that still runs cannot change what was committed', async () => {
        const bytes = someBytes(80_000)
        const session = await store.begin()
        const stalled = stallingSource(someBytes(10))
        await store.append(session, 0, chunks(bytes))
        const late = store.append(session, bytes.length, stalled.source)
        await stalled.reached
        await store.commit(session, bytes.length, sha256(bytes))
        stalled.goOn(someBytes(100_000))
        await assert.rejects(late, isFaultOf('blobUploadUnknown'))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
        assert.deepEqual(await store.stat(sha256(bytes)), { size: bytes.length })
      })

      it('the empty blob is a blob', async () => {
        const session = await store.begin()
        await store.append(session, 0, noChunks())
        await store.commit(session, 0, sha256(Buffer.alloc(0)))
        assert.deepEqual(await store.stat(sha256(Buffer.alloc(0))), { size: 0 })
        assert.deepEqual(await readAll(store, sha256(Buffer.alloc(0))), new Uint8Array(0))
      })

      it('a huge blob passes through without being held in memory', async () => {
        const chunk = someBytes(64 * 1024)
        const count = 1024
        const hash = createHash('sha256')
        for (let i = 0; i < count; i++) hash.update(chunk)
        const digest = toDigest('sha256', hash.digest('hex'))
        const size = chunk.length * count

        const heldBefore = process.memoryUsage().arrayBuffers
        let mostHeld = 0
        const held = () => process.memoryUsage().arrayBuffers - heldBefore
        const watch = () => {
          if (held() >= heldBytes) collectGarbage() // what came over a socket and was used up is not held
          mostHeld = Math.max(mostHeld, held())
        }
        const session = await store.begin()
        const source = async function* () {
          for (let i = 0; i < count; i++) {
            watch()
            yield chunk
          }
        }
        assert.equal(await store.append(session, 0, source()), size)
        await store.commit(session, size, digest)
        const read = createHash('sha256')
        for await (const piece of await store.read(digest)) {
          watch()
          read.update(piece)
        }
        assert.equal(toDigest('sha256', read.digest('hex')), digest)
        assert.ok(mostHeld < heldBytes, `held ${mostHeld} bytes of ${size}`)
        await store.delete(digest)
      })
    })

    describe('ensureDurable', () => {
      it('answers the size of a blob, again and again, and leaves it as it is', async () => {
        const bytes = someBytes(1_008)
        const digest = await aBlob(store, bytes)
        for (let i = 0; i < 2; i++) assert.deepEqual(await store.ensureDurable(digest), { size: 1_008 })
        assert.deepEqual(await readAll(store, digest), bytes)
      })

      it('a blob that is not there is undefined, also while its bytes are in a session', async () => {
        const bytes = someBytes(1_009)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        assert.equal(await store.ensureDurable(sha256(bytes)), undefined)
        assert.equal(await store.stat(sha256(bytes)), undefined)
        await store.abort(session)
      })
    })

    describe('abort', () => {
      it('an aborted session is gone and leaves no blob', async () => {
        const bytes = someBytes(1_006)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        await store.abort(session)
        await store.abort(session)
        await assert.rejects(store.append(session, bytes.length, noChunks()), isFaultOf('blobUploadUnknown'))
        await assert.rejects(store.commit(session, bytes.length, sha256(bytes)), isFaultOf('blobUploadUnknown'))
        assert.equal(await store.stat(sha256(bytes)), undefined)
      })

      it('an abort does not wait for a client that stalls', async () => {
        const session = await store.begin()
        const stalled = stallingSource(someBytes(10))
        const running = store.append(session, 0, stalled.source)
        await stalled.reached
        await store.abort(session)
        stalled.goOn(someBytes(10))
        await assert.rejects(running, isFaultOf('blobUploadUnknown'))
        await assert.rejects(store.append(session, 10, noChunks()), isFaultOf('blobUploadUnknown'))
      })
    })

    describe('read', () => {
      it('a range is inclusive at both ends', async () => {
        for (const size of [1_000, 1_000_000]) {
          const bytes = someBytes(size)
          const digest = await aBlob(store, bytes)
          const ranges: ByteRange[] = [
            { start: 0, end: 0 },
            { start: size - 1, end: size - 1 },
            { start: 0, end: size - 1 },
            { start: 1, end: size - 2 },
            { start: 100, end: 899 },
          ]
          for (const range of ranges) {
            assert.deepEqual(await readAll(store, digest, range), bytes.subarray(range.start, range.end + 1))
          }
        }
      })

      it('a range beyond the end is an error, never a short answer', async () => {
        const digest = await aBlob(store, someBytes(1_007))
        await assert.rejects(readAll(store, digest, { start: 0, end: 1_007 }))
      })

      it('a chunk stays as it is until the next one is asked for', async () => {
        const one = someBytes(1_500_000)
        const other = someBytes(1_500_001)
        const digests = [await aBlob(store, one), await aBlob(store, other)] as const
        const readers = [await iterate(store, digests[0]), await iterate(store, digests[1])] as const
        const offsets: [number, number] = [0, 0]
        for (;;) {
          const first = await readers[0].next()
          const second = await readers[1].next()
          if (first.done || second.done) break
          await store.stat(digests[0]) // time for a read ahead to do harm
          const ends = [offsets[0] + first.value.length, offsets[1] + second.value.length] as const
          assert.deepEqual(new Uint8Array(first.value), one.subarray(offsets[0], ends[0]))
          assert.deepEqual(new Uint8Array(second.value), other.subarray(offsets[1], ends[1]))
          offsets.splice(0, 2, ...ends)
        }
        assert.ok(Math.min(...offsets) >= 1_000_000, `${offsets}`)
        await readers[0].return?.()
        await readers[1].return?.()
      })

      it('a reader that stops early does no harm to the next', async () => {
        const bytes = someBytes(2_000_001)
        const digest = await aBlob(store, bytes)
        for await (const chunk of await store.read(digest)) {
          assert.ok(chunk.length > 0)
          break
        }
        const unused = await iterate(store, digest)
        await unused.return?.()
        assert.equal((await unused.next()).done, true)
        assert.deepEqual(await readAll(store, digest), bytes)
      })

      it('a reader that has begun sees the whole blob although it is deleted', async () => {
        const bytes = someBytes(2_000_002)
        const digest = await aBlob(store, bytes)
        const reading = await store.read(digest)
        assert.equal(await store.delete(digest), true)
        const parts: Uint8Array[] = []
        for await (const chunk of reading) parts.push(Uint8Array.from(chunk))
        assert.deepEqual(new Uint8Array(Buffer.concat(parts)), bytes)
        await assert.rejects(store.read(digest), isFaultOf('blobUnknown'))
      })

      it('a blob that is not there is unknown', async () => {
        const digest = sha256(Buffer.from('never pushed'))
        assert.equal(await store.stat(digest), undefined)
        await assert.rejects(store.read(digest), (error) => {
          assert.ok(isFault(error, 'blobUnknown'))
          assert.deepEqual(error.detail, { digest })
          return true
        })
      })
    })

    describe('delete', () => {
      it('a deleted blob is gone, and may be pushed again', async () => {
        const bytes = someBytes(1_008)
        const digest = await aBlob(store, bytes)
        assert.deepEqual(await readAll(store, digest), bytes)
        assert.equal(await store.delete(digest), true)
        assert.equal(await store.delete(digest), false)
        assert.equal(await store.stat(digest), undefined)
        await assert.rejects(readAll(store, digest), isFaultOf('blobUnknown'))
        await aBlob(store, bytes)
        assert.deepEqual(await readAll(store, digest), bytes)
      })
    })

    describe('listSessions', () => {
      it('lists the sessions that are neither committed nor aborted', async () => {
        const own = await open()
        try {
          assert.deepEqual(await Array.fromAsync(own.listSessions()), [])
          const bytes = someBytes(1_010)
          const begun = await own.begin()
          await own.append(begun, 0, noChunks())
          const written = await own.begin()
          await own.append(written, 0, chunks(bytes))
          const committed = await own.begin()
          await own.append(committed, 0, chunks(bytes))
          await own.commit(committed, bytes.length, sha256(bytes))
          const aborted = await own.begin()
          await own.append(aborted, 0, chunks(bytes))
          await own.abort(aborted)
          const listed = await Array.fromAsync(own.listSessions())
          assert.deepEqual(listed.map(({ session }) => session).sort(), [begun, written].sort())
        } finally {
          await own.dispose()
        }
      })

      it('tells when bytes last arrived', async () => {
        const own = await open()
        try {
          const started = Date.now()
          const session = await own.begin()
          await own.append(session, 0, noChunks())
          const at = async () => (await Array.fromAsync(own.listSessions()))[0]?.updatedAt ?? 0
          const begunAt = await at()
          await own.append(session, 0, chunks(someBytes(10)))
          const writtenAt = await at()
          assert.ok(begunAt <= writtenAt, `${begunAt} to ${writtenAt}`)
          // A store's clock is not ours, and may know whole seconds only.
          for (const time of [begunAt, writtenAt]) assert.ok(Math.abs(time - started) < 60_000, `${time} at ${started}`)
        } finally {
          await own.dispose()
        }
      })
    })

    describe('list', () => {
      it('lists every digest once, in ascending order, after the given one', async () => {
        const own = await open()
        try {
          assert.deepEqual(await Array.fromAsync(own.list()), [])
          const digests: Digest[] = []
          for (let i = 0; i < 40; i++)
            digests.push(await aBlob(own, someBytes(100 + i), i % 4 === 0 ? 'sha512' : 'sha256'))
          digests.sort()
          const abandoned = await own.begin()
          await own.append(abandoned, 0, chunks(someBytes(3)))
          assert.deepEqual(await Array.fromAsync(own.list()), digests)
          for (const [index, digest] of digests.entries()) {
            assert.deepEqual(await Array.fromAsync(own.list(digest)), digests.slice(index + 1))
          }
          const between = toDigest('sha256', `${'0'.repeat(63)}1`)
          assert.deepEqual(await Array.fromAsync(own.list(between)), digests)
        } finally {
          await own.dispose()
        }
      })
    })

    describe('owner', () => {
      it('is nobody at first, then who was written down last, and no blob', async () => {
        const own = await open()
        try {
          assert.equal(await own.owner(), undefined)
          const digest = await aBlob(own, someBytes(10))
          await own.setOwner('d94e6a4e-0b0e-4c5a-9d5e-1f6c3f0a2b11')
          assert.equal(await own.owner(), 'd94e6a4e-0b0e-4c5a-9d5e-1f6c3f0a2b11')
          await own.setOwner('another')
          assert.equal(await own.owner(), 'another')
          assert.deepEqual(await Array.fromAsync(own.list()), [digest])
          assert.deepEqual(await Array.fromAsync(own.listSessions()), [])
        } finally {
          await own.dispose()
        }
      })
    })

    void test('every skipped title is a title of the contract', () => {
      assert.deepEqual([...skips.keys()], [])
    })
  })
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect() // the first one sweeps in the background, and the second waits for that
}

export const sha256 = (bytes: Uint8Array): Digest => digestOf('sha256', bytes)

/** The same bytes for the same size, others for every other size. */
export function someBytes(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let state = size + 1
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    bytes[i] = state >>> 24
  }
  return bytes
}

export async function* chunks(bytes: Uint8Array, chunkBytes = 65_536): AsyncIterable<Uint8Array> {
  for (let start = 0; start < bytes.length; start += chunkBytes) yield bytes.subarray(start, start + chunkBytes)
}

export async function* noChunks(): AsyncIterable<Uint8Array> {}

/** Every chunk in the same buffer, which is spoilt as soon as the next chunk is asked for. */
async function* reusedChunks(bytes: Uint8Array, chunkBytes: number): AsyncIterable<Uint8Array> {
  const buffer = new Uint8Array(chunkBytes)
  for await (const chunk of chunks(bytes, chunkBytes)) {
    buffer.set(chunk)
    yield buffer.subarray(0, chunk.length)
    buffer.fill(0)
  }
}

/** Gives `first`, then waits. `reached` resolves when more is asked for; `goOn` gives one chunk more and ends. */
function stallingSource(first: Uint8Array) {
  const asked = Promise.withResolvers<void>()
  const more = Promise.withResolvers<Uint8Array>()
  const source = async function* () {
    yield first
    asked.resolve()
    yield await more.promise
  }
  return { source: source(), reached: asked.promise, goOn: more.resolve }
}

export async function aBlob(
  store: BlobStore,
  bytes: Uint8Array,
  algorithm: DigestAlgorithm = 'sha256',
): Promise<Digest> {
  const digest = digestOf(algorithm, bytes)
  const session = await store.begin()
  await store.append(session, 0, chunks(bytes))
  await store.commit(session, bytes.length, digest)
  return digest
}

export async function readAll(store: BlobStore, digest: Digest, range?: ByteRange): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of await store.read(digest, range)) parts.push(Uint8Array.from(chunk))
  return new Uint8Array(Buffer.concat(parts))
}

async function iterate(store: BlobStore, digest: Digest): Promise<AsyncIterator<Uint8Array>> {
  return (await store.read(digest))[Symbol.asyncIterator]()
}

export function isFaultOf(code: Fault['code']): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === code
}
