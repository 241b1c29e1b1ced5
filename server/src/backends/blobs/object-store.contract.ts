/** What drivers for object stores must do beyond the contract of blob stores: with real part sizes, and over a bad connection. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { inspect } from 'node:util'
import type { TestStore } from '../../../test/object-stores.ts'
import { startTcpGate, type TcpGate } from '../../../test/tcp-gate.ts'
import { isFault } from '../../base/fault.ts'
import { aBlob, blobStoreContract, chunks, isFaultOf, readAll, sha256, someBytes } from './blob-store.contract.ts'
import type { BlobStore } from './blob-store.ts'
import { checkBlobStore } from './blob-store-check.ts'
import type { ObjectBlobStoreOptions } from './object-blob-store.ts'
import type { ObjectLimits, ObjectStore } from './object-store.ts'

export interface Driver<Options> {
  readonly skip: string | false
  readonly start: () => Promise<TestStore<Options>>
  readonly openObjects: (options: Options) => Promise<ObjectStore>
  readonly open: (options: Options & { limits?: Partial<ObjectLimits> } & ObjectBlobStoreOptions) => Promise<BlobStore>
  /** The same place with a secret that is not the right one. */
  readonly withWrongSecret: (options: Options) => Options
  /** A bucket or container that does not exist. */
  readonly elsewhere: (options: Options) => Options
  /** What must reach no log. */
  readonly secrets: readonly string[]
  /** A call that makes a segment, as the beginning of its request. */
  readonly putting: string
}

const mebibyte = 1 << 20
const signal = () => AbortSignal.timeout(10_000)

export function objectStoreContract<Options>(name: string, driver: Driver<Options>): void {
  describe(`${name} on a real server`, { skip: driver.skip }, () => {
    let server: TestStore<Options>
    let gate: TcpGate
    /** Of this test alone, through the gate. */
    let options: Options
    let store: BlobStore
    const retries = { pauseMs: 10, tries: 3 }
    before(async () => {
      server = await driver.start()
      gate = await startTcpGate(server.port)
    })
    after(async () => {
      await gate[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      gate.state = 'open'
      options = server.options(gate.port)
      store = await driver.open({ ...options, retries })
    })

    // A part is uploaded while the next one fills up.
    blobStoreContract(name, () => driver.open({ ...server.options(), retries }), { heldBytes: 24 * mebibyte })

    const other = (more: ObjectBlobStoreOptions & { limits?: Partial<ObjectLimits> } = {}) =>
      driver.open({ ...options, retries, ...more })

    describe('parts', () => {
      test('a session is begun, continued inside a part and committed by different processes', async () => {
        const bytes = someBytes(21 * mebibyte)
        const session = await store.begin()
        await store.append(session, 0, chunks(someBytes(20 * mebibyte)))
        await (await other()).append(session, 0, chunks(bytes.subarray(0, 19 * mebibyte)))
        const cut = 11 * mebibyte + 1
        await (await other()).append(session, cut, chunks(bytes.subarray(cut, cut + 10)))
        await (await other()).append(session, cut + 10, chunks(bytes.subarray(cut + 10)))
        await (await other()).commit(session, bytes.length, sha256(bytes))
        assert.ok(Buffer.from(bytes).equals(await readAll(store, sha256(bytes))))
        assert.deepEqual(await Array.fromAsync(store.listSessions()), [])
      })

      test('a blob of more bytes than one call copies is copied in parts', async () => {
        const bytes = someBytes(17 * mebibyte)
        const small = await other({ limits: { maxCopyBytes: 6 * mebibyte } })
        assert.ok(Buffer.from(bytes).equals(await readAll(small, await aBlob(small, bytes))))
      })

      test('many small appends become one blob', async () => {
        const bytes = someBytes(7 * mebibyte)
        const session = await store.begin()
        for (let at = 0; at < bytes.length; at += mebibyte) {
          await store.append(session, at, chunks(bytes.subarray(at, at + mebibyte)))
        }
        await store.commit(session, bytes.length, sha256(bytes))
        assert.ok(Buffer.from(bytes).equals(await readAll(store, sha256(bytes))))
      })

      test('two commits of one digest at once, both in parts, are two commits', async () => {
        const bytes = someBytes(13 * mebibyte)
        const stores = await Promise.all([1, 2, 3].map(() => other({ limits: { maxCopyBytes: 6 * mebibyte } })))
        const sessions = await Promise.all(
          stores.map(async (one) => {
            const session = await one.begin()
            await one.append(session, 0, chunks(bytes))
            return session
          }),
        )
        await Promise.all(stores.map((one, index) => one.commit(sessions[index]!, bytes.length, sha256(bytes))))
        assert.ok(Buffer.from(bytes).equals(await readAll(store, sha256(bytes))))
      })

      test('parts of an append that was never finished are found and dropped', async () => {
        const objects = await driver.openObjects(options)
        const session = await store.begin()
        await store.abort(session)
        const multipart = await objects.begin(`uploads/${session}/000001-000000000000-00000000`, signal())
        await objects.putPart(multipart, 1, someBytes(5 * mebibyte), signal())
        // Where the service drops them by itself, there is nothing to be seen of them.
        const listed = await Array.fromAsync(store.listSessions())
        assert.ok(listed.every((one) => one.session === session))
        await store.abort(session)
        assert.deepEqual(await Array.fromAsync(store.listSessions()), [])
        const { entries } = await objects.listUnfinished('', undefined, signal())
        assert.deepEqual(entries, [])
      })
    })

    describe('lists', () => {
      test('go on after a page, in order, and see nothing of other prefixes', async () => {
        const objects = await driver.openObjects(options)
        const keys = Array.from({ length: 1_010 }, (_, index) => `blobs/${String(index).padStart(4, '0')}`)
        const left = keys.values()
        const putting = async () => {
          for (const key of left) await objects.put(key, new Uint8Array(1), undefined, signal())
        }
        await Promise.all(Array.from({ length: 16 }, putting))
        const first = await objects.list('blobs/', { after: keys[3]! }, signal())
        assert.ok(first.next !== undefined)
        const second = await objects.list('blobs/', { after: keys[3]!, page: first.next }, signal())
        assert.equal(second.next, undefined)
        assert.deepEqual(
          [...first.entries, ...second.entries].map(({ key }) => key),
          keys.slice(4),
        )
        const stranger = await driver.openObjects(server.options())
        assert.deepEqual((await stranger.list('', {}, signal())).entries, [])
      })
    })

    describe('a server that is not there', () => {
      test('is `unavailable` for reads and writes, and all goes on afterwards', async () => {
        const bytes = someBytes(9 * mebibyte)
        const digest = await aBlob(store, someBytes(1_000))
        const session = await store.begin()
        const kept = await store.append(session, 0, chunks(bytes.subarray(0, 1_000)))
        gate.state = 'shut'
        for (const call of [
          () => store.stat(digest),
          () => store.read(digest),
          () => store.begin(),
          () => store.append(session, kept, chunks(bytes.subarray(kept))),
          () => store.commit(session, kept, sha256(bytes.subarray(0, kept))),
          () => store.delete(digest),
          () => Array.fromAsync(store.list()),
        ]) {
          await assert.rejects(call(), (error) => {
            assert.ok(isFault(error, 'unavailable'), inspect(error))
            assert.ok(error.detail.retryAfterSeconds > 0)
            return true
          })
        }
        gate.state = 'open'
        assert.equal(await store.append(session, kept, chunks(bytes.subarray(kept))), bytes.length)
        await store.commit(session, bytes.length, sha256(bytes))
        assert.ok(Buffer.from(bytes).equals(await readAll(store, sha256(bytes))))
        assert.deepEqual(await store.stat(digest), { size: 1_000 })
      })

      test('that goes away in the middle of an append is `unavailable`, and the session goes on', async () => {
        const bytes = someBytes(20 * mebibyte)
        const session = await store.begin()
        const kept = await store.append(session, 0, chunks(bytes.subarray(0, 1_000_000)))
        const source = async function* () {
          let given = kept
          for await (const chunk of chunks(bytes.subarray(kept))) {
            given += chunk.length
            if (given > 12 * mebibyte) gate.state = 'shut'
            yield chunk
          }
        }
        await assert.rejects(store.append(session, kept, source()), isFaultOf('unavailable'))
        gate.state = 'open'
        await store.append(session, kept, chunks(bytes.subarray(kept)))
        await store.commit(session, bytes.length, sha256(bytes))
        assert.ok(Buffer.from(bytes).equals(await readAll(store, sha256(bytes))))
      })

      test('that hangs is cut off, in calls and in the middle of a read', async () => {
        const bytes = someBytes(20 * mebibyte)
        const digest = await aBlob(store, bytes)
        const times = { smallMs: 200, partMs: 200, tries: 2, pauseMs: 1 }
        const hasty = await other({ retries: times, stallMs: 200 })
        const reading = await hasty.read(digest)
        gate.state = 'silent'
        await assert.rejects(hasty.stat(digest), isFaultOf('unavailable'))
        await assert.rejects(hasty.begin(), isFaultOf('unavailable'))
        await assert.rejects(Array.fromAsync(reading), isFaultOf('unavailable'))
        gate.state = 'shut'
        gate.state = 'open'
        assert.deepEqual(await hasty.stat(digest), { size: bytes.length })
      })

      test('for a moment of a read is not noticed', async () => {
        const bytes = someBytes(20 * mebibyte)
        const digest = await aBlob(store, bytes)
        const parts: Uint8Array[] = []
        let cut = false
        for await (const chunk of await store.read(digest)) {
          parts.push(Uint8Array.from(chunk))
          if (!cut) {
            gate.state = 'shut'
            gate.state = 'open'
          }
          cut = true
        }
        assert.ok(Buffer.concat(parts).equals(bytes))
      })

      test('when it answers a write is asked again, and the bytes are there once', async () => {
        const bytes = someBytes(100_000)
        const session = await store.begin()
        const lost = gate.loseAnswerTo(driver.putting)
        await store.append(session, 0, chunks(bytes))
        await lost
        await store.commit(session, bytes.length, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })

      test('and comes back with what it had', async () => {
        const bytes = someBytes(100_000)
        const session = await store.begin()
        await store.append(session, 0, chunks(bytes))
        await server.stop()
        await assert.rejects(store.commit(session, bytes.length, sha256(bytes)), isFaultOf('unavailable'))
        await server.start()
        await store.commit(session, bytes.length, sha256(bytes))
        assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
      })
    })

    describe('a link', () => {
      test('hands the blob to whoever has it, whole or in ranges, without a credential', async () => {
        const bytes = someBytes(100_000)
        const link = await store.link?.(await aBlob(store, bytes), { ttlSeconds: 60 })
        assert.ok(link)
        const whole = await fetch(link)
        assert.equal(whole.status, 200)
        assert.equal(whole.headers.get('content-type'), 'application/octet-stream')
        assert.deepEqual(new Uint8Array(await whole.arrayBuffer()), bytes)
        const part = await fetch(link, { headers: { range: 'bytes=10-19' } })
        assert.equal(part.status, 206)
        assert.deepEqual(new Uint8Array(await part.arrayBuffer()), bytes.subarray(10, 20))
      })

      test('is good for that blob and for reading only, and tells no secret', async () => {
        const link = await store.link?.(await aBlob(store, someBytes(1_000)), { ttlSeconds: 60 })
        assert.ok(link)
        const otherBlob = await store.link?.(await aBlob(store, someBytes(1_001)), { ttlSeconds: 60 })
        const forged = new URL(link)
        forged.pathname = otherBlob?.pathname ?? ''
        for (const [address, method] of [
          [forged, 'GET'],
          [link, 'DELETE'],
          [link, 'PUT'],
        ] as const) {
          const answer = await fetch(address, { method, ...(method === 'PUT' ? { body: 'x' } : {}) })
          await answer.body?.cancel()
          assert.ok([400, 403].includes(answer.status), `${method} ${answer.status}`)
        }
        for (const secret of driver.secrets) assert.ok(!decodeURIComponent(link.href).includes(secret))
      })
    })

    describe('a start', () => {
      const noWait = { name: 'the-store', patienceMs: 0, onWaiting: () => undefined }
      const troubleWith = async (chosen: Options) => {
        const opened = await driver.open({ ...chosen, retries })
        let trouble: unknown
        await checkBlobStore(opened, noWait).catch((error: unknown) => {
          trouble = error
        })
        await opened.dispose()
        for (const secret of driver.secrets) assert.ok(!inspect(trouble, { depth: 9 }).includes(secret))
        return (trouble as Error | undefined)?.message
      }

      test('finds a store that can be used, and leaves nothing in it', async () => {
        assert.equal(await troubleWith(options), undefined)
        const objects = await driver.openObjects(options)
        assert.deepEqual((await objects.list('', {}, signal())).entries, [])
      })

      test('says what is wrong in one sentence', async () => {
        const denied = (await troubleWith(driver.withWrongSecret(options))) ?? ''
        assert.match(denied, /^the-store may not be read and written with the credentials that were found \(.+\)$/)
        const missing = (await troubleWith(driver.elsewhere(options))) ?? ''
        assert.match(
          missing,
          /^the-store names a bucket or container that does not exist; Berth does not make it \(.+\)$/,
        )
        gate.state = 'shut'
        assert.match((await troubleWith(options)) ?? '', /^the-store does not answer \(.+\)$/)
      })

      test('waits for a store that is not there yet', async () => {
        gate.state = 'shut'
        const waits: string[] = []
        await checkBlobStore(store, {
          name: 'the-store',
          patienceMs: 30_000,
          onWaiting: (reason) => {
            waits.push(reason)
            gate.state = 'open'
          },
        })
        assert.equal(waits.length, 1)
      })
    })
  })
}
