import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { hexOf } from '@berth/oci'
import { MemoryObjects } from '../../../test/memory-objects.ts'
import { isFault } from '../../base/fault.ts'
import { aBlob, blobStoreContract, chunks, isFaultOf, readAll, sha256, someBytes } from './blob-store.contract.ts'
import type { BlobStore } from './blob-store.ts'
import { ObjectBlobStore, type ObjectBlobStoreOptions } from './object-blob-store.ts'
import { ObjectStoreError } from './object-store.ts'

const smallLimits = { partBytes: 4_096, minPartBytes: 2_048, maxCopyBytes: 65_536, maxParts: 40 }

// Parts of a few kilobytes: what is one call elsewhere is many here.
blobStoreContract('object', async () => new ObjectBlobStore(new MemoryObjects(smallLimits, 1_000)), {
  skip: { 'a huge blob passes through without being held in memory': 'memory is where this store keeps them' },
})

// A part has 32 to 64 bytes, a copy 100 at most, an object 8 parts.
describe('object blob store, call by call', () => {
  let objects: MemoryObjects
  let store: BlobStore
  const open = (options: ObjectBlobStoreOptions = {}) =>
    new ObjectBlobStore(objects, { retries: { pauseMs: 1, tries: 2 }, ...options })
  beforeEach(() => {
    objects = new MemoryObjects()
    store = open()
  })

  const callsOf = (name: string) => objects.calls.filter((call) => call.startsWith(`${name} `))

  /** Rejects where uploads wait for each other. */
  const allOf = async (uploads: readonly Promise<unknown>[]) => {
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error('uploads wait for each other')), 10_000)
    try {
      await Promise.race([Promise.all(uploads), late])
    } finally {
      clearTimeout(timer)
    }
  }
  describe('a session', () => {
    test('leaves one object under its digest and nothing else', async () => {
      const hex = hexOf(await aBlob(store, someBytes(300)))
      const wrong = await store.begin()
      await store.append(wrong, 0, chunks(someBytes(200)))
      await assert.rejects(store.commit(wrong, 200, sha256(someBytes(1))), isFaultOf('digestMismatch'))
      const aborted = await store.begin()
      await store.append(aborted, 0, chunks(someBytes(200)))
      await store.abort(aborted)
      assert.deepEqual(objects.keys, [`blobs/sha256/${hex.slice(0, 2)}/${hex}`])
      assert.deepEqual([...objects.uploads], [])
    })

    test('that this process wrote is committed without reading a byte', async () => {
      const bytes = someBytes(500)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes.subarray(0, 300)))
      await store.append(session, 300, chunks(bytes.subarray(300)))
      await store.commit(session, 500, sha256(bytes))
      assert.deepEqual(
        callsOf('get').filter((call) => !isTail(call)),
        [],
      )
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    /** What is too small to be a part is read once for the part that it becomes a piece of. */
    const isTail = (call: string) =>
      call.includes('uploads/') && objects.calls.some((other) => other.startsWith('putPart blobs/'))

    test('is continued and committed by other processes', async () => {
      const bytes = someBytes(700)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes.subarray(0, 333), 50))
      await open().append(session, 333, chunks(bytes.subarray(333), 50))
      await open().commit(session, 700, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('is cut inside a part, by another process, without reading a byte', async () => {
      const bytes = someBytes(400)
      const session = await store.begin()
      await store.append(session, 0, chunks(someBytes(399)))
      await store.append(session, 0, chunks(bytes.subarray(0, 300)))
      await open().append(session, 77, chunks(new Uint8Array()))
      await assert.rejects(open().append(session, 78, chunks(new Uint8Array())), isFaultOf('chunkOutOfOrder'))
      assert.deepEqual(callsOf('get'), [])
      assert.deepEqual(
        objects.keys.map((key) => objects.objects.get(key)?.bytes.length),
        [0, 300, 0, 0],
        'a cut to nothing, what came after it, a cut inside that, and the session itself',
      )
      await open().append(session, 77, chunks(bytes.subarray(77)))
      await open().commit(session, 400, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('does not trust a hash when another process has written since', async () => {
      const theirs = someBytes(200)
      const session = await store.begin()
      await store.append(session, 0, chunks(someBytes(201).subarray(0, 200)))
      await open().append(session, 0, chunks(theirs))
      await store.commit(session, 200, sha256(theirs))
      assert.deepEqual(await readAll(store, sha256(theirs)), theirs)
    })

    test('ignores what a writer adds that had missed a cut', async () => {
      const bytes = someBytes(100)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes))
      await store.append(session, 50, chunks(new Uint8Array()))
      objects.objects.set(`uploads/${session}/000002-000000000064-00000000`, { bytes: someBytes(9), modifiedAt: 0 })
      await store.append(session, 50, chunks(bytes.subarray(50)))
      await store.commit(session, 100, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('of more parts than a segment has goes on in the next one', async () => {
      const bytes = someBytes(64 * 8 * 2 + 10)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes))
      assert.deepEqual(
        objects.keys.slice(0, -1).map((key) => key.split('-')[1]),
        ['000000000000', '000000000200', '000000000400'],
      )
      await store.abort(session)
    })
  })

  describe('a closing append', () => {
    const closed = async (bytes: Uint8Array, from: BlobStore = store) => {
      const session = await from.begin()
      await from.append(session, 0, chunks(bytes), { closing: true })
      return session
    }

    test('that fits into a part is put under its digest at once', async () => {
      const bytes = someBytes(60)
      const session = await closed(bytes)
      await store.commit(session, 60, sha256(bytes))
      assert.deepEqual(callsOf('put'), [`put uploads/${session}/begun`, `put ${objects.keys[0]}`])
      assert.deepEqual([callsOf('get'), callsOf('copy'), callsOf('begin')], [[], [], []])
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('follows upon what other processes have written', async () => {
      const bytes = someBytes(350)
      const session = await store.begin()
      await open().append(session, 0, chunks(bytes.subarray(0, 303)))
      await store.append(session, 303, chunks(bytes.subarray(303)), { closing: true })
      await store.commit(session, 350, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('whose client goes away is written all the same', async () => {
      const bytes = someBytes(50)
      const session = await store.begin()
      const source = async function* () {
        yield bytes.subarray(0, 30)
        throw new Error('client gone')
      }
      await assert.rejects(store.append(session, 0, source(), { closing: true }), /client gone/)
      await open().append(session, 30, chunks(bytes.subarray(30)))
      await store.commit(session, 50, sha256(bytes))
    })

    test('that was not the last one is written before the next', async () => {
      const bytes = someBytes(90)
      const session = await closed(bytes.subarray(0, 40))
      await store.append(session, 40, chunks(bytes.subarray(40)), { closing: true })
      await store.commit(session, 90, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('may be cut by the commit, and by another process', async () => {
      const bytes = someBytes(40)
      const short = await closed(bytes)
      await store.commit(short, 30, sha256(bytes.subarray(0, 30)))
      const session = await closed(someBytes(41))
      await open().append(session, 0, chunks(bytes))
      await store.commit(session, 40, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('outlives a commit of too many bytes', async () => {
      const bytes = someBytes(40)
      const session = await closed(bytes)
      await assert.rejects(store.commit(session, 41, sha256(bytes)), isFaultOf('chunkOutOfOrder'))
      await store.commit(session, 40, sha256(bytes))
    })

    const twoParts = { budgetBytes: 128, patienceMs: 20 }

    test('waits for no memory that another one holds, after earlier chunks', async () => {
      const one = open(twoParts)
      const bytes = Array.from({ length: 8 }, (_, n) => someBytes(50 + n))
      const upload = async (all: Uint8Array) => {
        const session = await one.begin()
        await one.append(session, 0, chunks(all.subarray(0, 10)))
        await one.append(session, 10, chunks(all.subarray(10)), { closing: true })
        await one.commit(session, all.length, sha256(all))
      }
      await allOf(bytes.map(upload))
      for (const all of bytes) assert.deepEqual(await readAll(one, sha256(all)), all)
    })

    test('waits for no memory that another one holds, after its beginning was written to make room', async () => {
      const one = open(twoParts)
      const bytes = Array.from({ length: 4 }, (_, n) => someBytes(50 + n))
      const { promise: allHaveBegun, resolve } = Promise.withResolvers<void>()
      let begun = 0
      const inTwo = async function* (all: Uint8Array) {
        yield all.subarray(0, 10)
        if (++begun === bytes.length) resolve()
        await allHaveBegun
        yield all.subarray(10)
      }
      const upload = async (all: Uint8Array) => {
        const session = await one.begin()
        await one.append(session, 0, inTwo(all), { closing: true })
        await one.commit(session, all.length, sha256(all))
      }
      await allOf(bytes.map(upload))
      for (const all of bytes) assert.deepEqual(await readAll(one, sha256(all)), all)
    })

    test('of a writer that another one has taken over from changes nothing, and its memory is free again', async () => {
      const one = open({ ...twoParts, budgetBytes: 64 })
      const bytes = someBytes(40)
      const session = await one.begin()
      const { promise: goOn, resolve } = Promise.withResolvers<void>()
      const slow = async function* () {
        await goOn
        yield bytes.subarray(1, 2)
      }
      const older = one.append(session, 0, slow(), { closing: true })
      await new Promise(setImmediate)
      await one.append(session, 0, chunks(bytes.subarray(0, 1)), { closing: true })
      resolve()
      await assert.rejects(older, isFaultOf('uploadBusy'))
      await one.append(session, 1, chunks(bytes.subarray(1)))
      await one.commit(session, 40, sha256(bytes))
      await allOf([aBlob(one, someBytes(500))]) // needs all the memory there is
    })

    test('after earlier chunks is committed without reading it to hash it', async () => {
      const bytes = someBytes(200)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes.subarray(0, 100)))
      await store.append(session, 100, chunks(bytes.subarray(100)), { closing: true })
      await store.commit(session, 200, sha256(bytes))
      assert.deepEqual(callsOf('get'), [])
    })

    test('without a commit is forgotten, and its memory is free again', async (context) => {
      context.mock.timers.enable({ apis: ['setTimeout'] })
      const one = open({ budgetBytes: 64 })
      const session = await closed(someBytes(50), one)
      context.mock.timers.tick(30_000)
      context.mock.timers.reset()
      await assert.rejects(one.commit(session, 50, sha256(someBytes(50))), (error) => {
        assert.ok(isFault(error, 'chunkOutOfOrder'))
        assert.equal(error.detail.expectedOffset, 0)
        return true
      })
      await aBlob(one, someBytes(500)) // needs all the memory there is
      // What was hashed of the forgotten bytes is forgotten too.
      await one.append(session, 0, chunks(someBytes(60)), { closing: true })
      await one.commit(session, 60, sha256(someBytes(60)))
    })
  })

  describe('commit', () => {
    const inAppends = async (bytes: Uint8Array, sizes: readonly number[]) => {
      const session = await store.begin()
      let offset = 0
      for (const size of sizes)
        offset = await store.append(session, offset, chunks(bytes.subarray(offset, offset + size)))
      objects.calls.length = 0
      await store.commit(session, offset, sha256(bytes.subarray(0, offset)))
      return sha256(bytes.subarray(0, offset))
    }

    test('copies one small segment in one call', async () => {
      const bytes = someBytes(100)
      const digest = await inAppends(bytes, [100])
      assert.equal(callsOf('copy').length, 1)
      assert.deepEqual([callsOf('begin'), callsOf('put')], [[], []])
      assert.deepEqual(await readAll(store, digest), bytes)
    })

    test('copies more than one call may copy part by part', async () => {
      const bytes = someBytes(290)
      const digest = await inAppends(bytes, [290])
      assert.equal(callsOf('copyPart').length, 3)
      assert.deepEqual([callsOf('putPart'), callsOf('get')], [[], []])
      assert.deepEqual(await readAll(store, digest), bytes)
    })

    test('joins what is too small for a part in memory', async () => {
      const bytes = someBytes(60)
      const digest = await inAppends(bytes, [10, 20, 30])
      assert.deepEqual(callsOf('put'), [`put ${objects.keys[0]}`])
      assert.deepEqual(await readAll(store, digest), bytes)
    })

    test('takes from a large segment only what the part before it lacks', async () => {
      const bytes = someBytes(210)
      const digest = await inAppends(bytes, [10, 100, 100])
      assert.deepEqual([callsOf('copyPart').length, callsOf('putPart').length], [2, 1])
      assert.deepEqual(await readAll(store, digest), bytes)
    })

    test('joins very many segments in two rounds', async () => {
      const bytes = someBytes(700)
      const sizes = Array.from({ length: 100 }, () => 7)
      const digest = await inAppends(bytes, sizes)
      assert.ok(callsOf('begin').some((call) => call.includes('/joined-')))
      assert.deepEqual(await readAll(store, digest), bytes)
      assert.deepEqual(objects.keys.length, 1)
    })

    test('of more than the store can put together is refused', async () => {
      await assert.rejects(inAppends(someBytes(1_000), [500, 500]), /too large for the store/)
    })

    test('replaces what is there, which may be damaged', async () => {
      const bytes = someBytes(300)
      const digest = await aBlob(store, bytes)
      const [key = ''] = objects.keys
      objects.objects.set(key, { bytes: new Uint8Array(300), modifiedAt: 0 })
      await aBlob(store, bytes)
      assert.deepEqual(await readAll(store, digest), bytes)
    })

    test('whose last call got through without our hearing of it is a commit', async () => {
      const bytes = someBytes(290)
      let lost = 0
      objects.before = async (call, key) => {
        if (call !== 'complete' || !key.startsWith('blobs/') || lost++ > 0) return
        const [id = '', upload] = [...objects.uploads].find(([, one]) => one.key === key) ?? []
        const parts = Array.from(upload?.parts ?? [], ([number, part]) => `tag-${number}-${part.length}`)
        objects.before = () => undefined
        await objects.complete({ key, id }, parts, AbortSignal.timeout(1_000))
        throw new ObjectStoreError('unreachable', 'ECONNRESET')
      }
      const digest = await inAppends(bytes, [290])
      assert.equal(lost, 1)
      assert.equal(callsOf('complete').length, 3)
      assert.deepEqual(await readAll(store, digest), bytes)
    })

    test('that fails leaves no parts behind, and may be repeated', async () => {
      const bytes = someBytes(290)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes))
      objects.before = (call) => {
        if (call === 'copyPart') throw new ObjectStoreError('unreachable', 'ECONNREFUSED')
      }
      await assert.rejects(store.commit(session, 290, sha256(bytes)), isFaultOf('unavailable'))
      assert.deepEqual([...objects.uploads], [])
      objects.before = () => undefined
      await store.commit(session, 290, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('waits for no memory that an append holds which it has taken over from', async () => {
      const one = open({ budgetBytes: 64, patienceMs: 20 })
      const bytes = someBytes(40)
      const session = await one.begin()
      for (const offset of [0, 20]) await one.append(session, offset, chunks(bytes.subarray(offset, offset + 20)))
      const { promise: goOn, resolve } = Promise.withResolvers<void>()
      const { promise: holding, resolve: holds } = Promise.withResolvers<void>()
      const stalled = async function* () {
        yield someBytes(20)
        holds()
        await goOn
      }
      const older = assert.rejects(one.append(session, 40, stalled()), isFaultOf('blobUploadUnknown'))
      await holding
      await allOf([one.commit(session, 40, sha256(bytes))])
      resolve()
      await older
      assert.deepEqual(await readAll(one, sha256(bytes)), bytes)
    })

    test('of a session that somebody else has dropped meanwhile says so', async () => {
      const bytes = someBytes(290)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes))
      objects.before = async (call) => {
        if (call !== 'begin') return
        objects.before = () => undefined
        await open().abort(session)
      }
      await assert.rejects(store.commit(session, 290, sha256(bytes)), isFaultOf('blobUploadUnknown'))
    })
  })

  describe('append', () => {
    test('that the store does not take is `unavailable`, and goes on when it does again', async () => {
      const bytes = someBytes(300)
      const session = await store.begin()
      await store.append(session, 0, chunks(bytes.subarray(0, 70)))
      objects.before = (call, key) => {
        if (call === 'putPart' && [...objects.uploads.values()].some(({ parts }) => parts.size > 0))
          throw new ObjectStoreError('unreachable', key)
      }
      await assert.rejects(store.append(session, 70, chunks(bytes.subarray(70), 10)), (error) => {
        assert.ok(isFault(error, 'unavailable'))
        assert.ok(error.detail.retryAfterSeconds > 0)
        assert.ok(error.cause instanceof ObjectStoreError)
        return true
      })
      assert.deepEqual([...objects.uploads], [])
      objects.before = () => undefined
      assert.equal(await store.append(session, 70, chunks(bytes.subarray(70))), 300)
      await store.commit(session, 300, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })

    test('gives its memory back, however it ends', async () => {
      const one = open({ budgetBytes: 128, patienceMs: 20 })
      const failing = async function* () {
        yield someBytes(100)
        throw new Error('client gone')
      }
      for (let i = 0; i < 5; i++) {
        const session = await one.begin()
        await assert.rejects(one.append(session, 0, failing()), /client gone/)
        objects.before = (call) => {
          if (call === 'begin') throw new ObjectStoreError('denied', 'AccessDenied')
        }
        await assert.rejects(one.append(session, 100, chunks(someBytes(200))), isFaultOf('unavailable'))
        objects.before = () => undefined
        await one.abort(session)
      }
      await aBlob(one, someBytes(300))
    })

    test('that failed while its client stalls does not keep others waiting for memory', async () => {
      const one = open({ budgetBytes: 128, patienceMs: 20 })
      const { promise: goOn, resolve } = Promise.withResolvers<void>()
      const { promise: failed, resolve: fails } = Promise.withResolvers<void>()
      const stalled = async function* () {
        yield someBytes(100)
        await goOn
        yield someBytes(1)
      }
      objects.before = (call) => {
        if (call !== 'begin') return
        fails()
        throw new ObjectStoreError('denied', 'AccessDenied')
      }
      const session = await one.begin()
      const appended = assert.rejects(one.append(session, 0, stalled()), isFaultOf('unavailable'))
      await failed
      objects.before = () => undefined
      await allOf([aBlob(one, someBytes(500))]) // needs all the memory there is
      resolve()
      await appended
    })

    test('of a client that stalls does not keep others waiting for memory', async () => {
      const one = open({ budgetBytes: 64, patienceMs: 20 })
      const { promise: goOn, resolve } = Promise.withResolvers<void>()
      const slow = async function* () {
        yield someBytes(50)
        await goOn
        yield someBytes(20)
      }
      const session = await one.begin()
      const appended = one.append(session, 0, slow())
      await aBlob(one, someBytes(500))
      resolve()
      assert.equal(await appended, 70)
      const all = new Uint8Array([...someBytes(50), ...someBytes(20)])
      await one.commit(session, 70, sha256(all))
      assert.deepEqual(await readAll(one, sha256(all)), all)
    })
  })

  describe('read', () => {
    test('goes on where a connection broke off', async () => {
      const bytes = someBytes(300)
      const digest = await aBlob(store, bytes)
      objects.calls.length = 0
      objects.breakAfter = 123
      assert.deepEqual(await readAll(store, digest), bytes)
      assert.equal(callsOf('get').length, 2)
      objects.breakQuietly = true
      objects.breakAfter = 100
      assert.deepEqual(await readAll(store, digest), bytes)
      assert.equal(callsOf('get').length, 4)
      objects.breakAfter = 5
      assert.deepEqual(await readAll(store, digest, { start: 10, end: 289 }), bytes.subarray(10, 290))
    })

    test('goes on where the store stands still', async () => {
      const bytes = someBytes(300)
      const one = open({ stallMs: 30 })
      const digest = await aBlob(one, bytes)
      const reading = await one.read(digest)
      const [body] = objects.open
      body?.pause()
      Object.assign(body ?? {}, { _read: () => undefined }) // nothing comes any more
      const parts: Uint8Array[] = []
      for await (const chunk of reading) parts.push(Uint8Array.from(chunk))
      assert.deepEqual(new Uint8Array(Buffer.concat(parts)), bytes)
    })

    test('gives up when nothing comes any more, and when the blob is gone', async () => {
      const digest = await aBlob(store, someBytes(300))
      const reading = await store.read(digest)
      objects.open.forEach((body) => void body.destroy(new Error('cut')))
      objects.before = (call) => {
        if (call === 'get') throw new ObjectStoreError('unreachable', 'ECONNREFUSED')
      }
      await assert.rejects(Array.fromAsync(reading), isFaultOf('unavailable'))
      objects.before = () => undefined
      const other = await store.read(digest)
      objects.open.forEach((body) => void body.destroy(new Error('cut')))
      await store.delete(digest)
      await assert.rejects(Array.fromAsync(other), /was deleted while it was read/)
    })

    test('of a blob that lost bytes is an error before the first byte', async () => {
      const digest = await aBlob(store, someBytes(300))
      const [key = ''] = objects.keys
      objects.objects.set(key, { bytes: someBytes(200), modifiedAt: 0 })
      for (const range of [
        { start: 0, end: 299 },
        { start: 250, end: 299 },
      ]) {
        await assert.rejects(store.read(digest, range), /is damaged/)
      }
    })

    test('closes its connection, also when nobody reads to the end', async () => {
      const digest = await aBlob(store, someBytes(300))
      await readAll(store, digest)
      for await (const _ of await store.read(digest)) break
      const unused = (await store.read(digest))[Symbol.asyncIterator]()
      await unused.return?.()
      await assert.rejects(store.read(digest, { start: 0, end: 300 }), /is damaged/)
      await new Promise(setImmediate)
      assert.deepEqual([...objects.open], [])
    })
  })

  describe('listSessions', () => {
    test('finds the parts that a killed process left behind, and abort drops them', async () => {
      const session = await store.begin()
      await objects.begin(`uploads/${session}/000001-000000000000-00000000`, AbortSignal.timeout(1_000))
      const gone = 'ab'.repeat(16)
      await objects.begin(`uploads/${gone}/000001-000000000000-00000000`, AbortSignal.timeout(1_000))
      const digest = sha256(someBytes(10))
      const hex = hexOf(digest)
      await objects.begin(`blobs/sha256/${hex.slice(0, 2)}/${hex}`, AbortSignal.timeout(1_000))
      const listed = await Array.fromAsync(store.listSessions())
      assert.deepEqual(listed.map((one) => one.session).sort(), [session, gone, hex.slice(0, 32)].sort())
      for (const one of listed) await store.abort(one.session)
      assert.deepEqual([[...objects.uploads], objects.keys], [[], []])
    })

    test('counts every segment as a sign of life', async () => {
      const session = await store.begin()
      await store.append(session, 0, chunks(someBytes(10)))
      await store.append(session, 10, chunks(someBytes(10)))
      let at = 1_000
      for (const [key, { bytes }] of objects.objects) objects.objects.set(key, { bytes, modifiedAt: at++ })
      assert.deepEqual(await Array.fromAsync(store.listSessions()), [{ session, updatedAt: 1_002 }])
    })

    test('finds segments whose session is over', async () => {
      const session = await store.begin()
      await store.append(session, 0, chunks(someBytes(10)))
      objects.objects.delete(`uploads/${session}/begun`)
      assert.equal((await Array.fromAsync(store.listSessions())).length, 1)
      await store.abort(session)
      assert.deepEqual(objects.keys, [])
    })
  })

  test('objects that are no blobs are not listed', async () => {
    const digest = await aBlob(store, someBytes(5))
    for (const key of ['blobs/README', 'blobs/sha256/ab/abc', 'blobs/md5/ab/abcd'])
      objects.objects.set(key, { bytes: someBytes(1), modifiedAt: 0 })
    assert.deepEqual(await Array.fromAsync(store.list()), [digest])
  })

  test('links are handed out unless they are not wanted', async () => {
    const digest = sha256(someBytes(1))
    const link = await store.link?.(digest, { ttlSeconds: 1_200 })
    assert.match(link?.href ?? '', new RegExp(`/blobs/sha256/../${hexOf(digest)}\\?ttl=1200&`))
    assert.equal(open({ redirects: false }).link, undefined)
  })
})
