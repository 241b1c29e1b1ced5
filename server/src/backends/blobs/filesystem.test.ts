import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readlink, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { hexOf } from '@berth/oci'
import { onSmallDisk } from '../../../test/small-disk.ts'
import { isFault } from '../../base/fault.ts'
import {
  aBlob,
  blobStoreContract,
  chunks,
  isFaultOf,
  noChunks,
  readAll,
  sha256,
  someBytes,
} from './blob-store.contract.ts'
import { openFilesystemBlobStore } from './filesystem.ts'

let home: string
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'berth-blobs-'))
})
after(() => rm(home, { recursive: true }))

const newFolder = () => mkdtemp(join(home, 'store-'))

blobStoreContract('filesystem', async () => openFilesystemBlobStore({ folder: await newFolder() }))

describe('filesystem blob store, on disk', () => {
  let folder: string
  beforeEach(async () => {
    folder = await newFolder()
  })

  test('a blob lies under its algorithm and the first two digits, readable by its owner only', async () => {
    const store = await openFilesystemBlobStore({ folder: join(folder, 'deep', 'down') })
    const hex = hexOf(await aBlob(store, someBytes(10)))
    assert.deepEqual(await filesIn(folder), [`deep/down/sha256/${hex.slice(0, 2)}/${hex}`])
    assert.equal((await stat(join(folder, 'deep/down/sha256', hex.slice(0, 2), hex))).mode & 0o777, 0o600)
    assert.equal((await stat(join(folder, 'deep/down/sha256', hex.slice(0, 2)))).mode & 0o777, 0o700)
    assert.equal((await stat(join(folder, 'deep/down'))).mode & 0o777, 0o700)
  })

  test('nothing is left of a session after commit, mismatch or abort', async () => {
    const store = await openFilesystemBlobStore({ folder })
    const bytes = someBytes(1_000)
    await aBlob(store, bytes)
    await aBlob(store, bytes)
    const wrong = await store.begin()
    await store.append(wrong, 0, noChunks())
    await assert.rejects(store.commit(wrong, 0, sha256(bytes)), isFaultOf('digestMismatch'))
    const dropped = await store.begin()
    await store.append(dropped, 0, chunks(bytes))
    await store.abort(dropped)
    assert.deepEqual(await readdir(join(folder, 'uploads')), [])
  })

  test('a hostile session name reaches no file', async () => {
    const store = await openFilesystemBlobStore({ folder: join(folder, 'store') })
    const outside = join(folder, 'outside')
    await writeFile(outside, 'mine')
    for (const session of ['../../outside', outside, '../sha256']) {
      await assert.rejects(store.append(session, 0, chunks(someBytes(4))), isFaultOf('blobUploadUnknown'))
      await assert.rejects(store.commit(session, 4, sha256(Buffer.from('mine'))), isFaultOf('blobUploadUnknown'))
      await store.abort(session)
    }
    assert.deepEqual(await filesIn(folder), ['outside'])
  })

  test('a hundred readers that stand still hold no more memory than a few large buffers and a small one each', async () => {
    const store = await openFilesystemBlobStore({ folder })
    const bytes = someBytes(2 * 1024 * 1024)
    const digest = await aBlob(store, bytes)
    const readers = await Promise.all(
      Array.from({ length: 100 }, async () => (await store.read(digest))[Symbol.asyncIterator]()),
    )
    const buffers = new Set<ArrayBufferLike>()
    const read = readers.map(() => [] as Uint8Array[])
    for (const [index, reader] of readers.entries()) {
      const { value } = await reader.next()
      buffers.add(value.buffer)
      read[index]!.push(Buffer.from(value))
    }
    const held = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0)
    assert(held <= 16 * 256 * 1024 + 100 * 64 * 1024, `${held} bytes`)

    for (const [index, reader] of readers.entries()) {
      for (let next = await reader.next(); !next.done; next = await reader.next())
        read[index]!.push(Buffer.from(next.value))
      assert(Buffer.concat(read[index]!).equals(bytes), `reader ${index}`)
    }
    const { value } = await (await store.read(digest))[Symbol.asyncIterator]().next()
    assert.equal(value.length, 256 * 1024, 'later readers get large buffers again')
  })

  test('files that are no blobs are not listed', async () => {
    const store = await openFilesystemBlobStore({ folder })
    const digest = await aBlob(store, someBytes(5))
    await writeFile(join(folder, 'sha256', hexOf(digest).slice(0, 2), 'README'), '')
    await writeFile(join(folder, 'sha256', 'lost+found'), '')
    assert.deepEqual(await Array.fromAsync(store.list()), [digest])
  })

  test('a session is continued and committed after a restart', async () => {
    const bytes = someBytes(500_000)
    const first = await openFilesystemBlobStore({ folder })
    const session = await first.begin()
    await first.append(session, 0, chunks(bytes.subarray(0, 123_456)))
    await first.dispose()
    const second = await openFilesystemBlobStore({ folder })
    await second.append(session, 123_456, chunks(bytes.subarray(123_456)))
    const third = await openFilesystemBlobStore({ folder })
    await third.commit(session, bytes.length, sha256(bytes))
    assert.deepEqual(await readAll(first, sha256(bytes)), bytes)
  })

  test('a hash is not trusted when another process has written to the session since', async () => {
    const mine = someBytes(1_000)
    const theirs = someBytes(2_000)
    const [one, other] = [await openFilesystemBlobStore({ folder }), await openFilesystemBlobStore({ folder })]
    const session = await one.begin()
    await one.append(session, 0, chunks(mine))
    await other.append(session, 0, chunks(theirs))
    await one.commit(session, theirs.length, sha256(theirs))
    assert.deepEqual(await readAll(one, sha256(theirs)), theirs)
  })

  test('an append notices that another process has aborted its session', async () => {
    const [one, other] = [await openFilesystemBlobStore({ folder }), await openFilesystemBlobStore({ folder })]
    const session = await one.begin()
    const source = async function* () {
      yield someBytes(10)
      await other.abort(session)
      yield someBytes(10)
    }
    await assert.rejects(one.append(session, 0, source()), isFaultOf('blobUploadUnknown'))
  })

  test('a blob that lost its end is an error, never a short answer', async () => {
    const store = await openFilesystemBlobStore({ folder })
    for (const size of [1_000, 2_000_000]) {
      const digest = await aBlob(store, someBytes(size))
      await truncate(pathOf(digest), size - 1)
      await assert.rejects(readAll(store, digest, { start: 0, end: size - 1 }), /is damaged/)
    }
  })

  test('a blob that loses its end while it is read is an error as well', async () => {
    const store = await openFilesystemBlobStore({ folder })
    const digest = await aBlob(store, someBytes(2_000_000))
    const reading = await store.read(digest)
    await truncate(pathOf(digest), 1_000_000)
    await assert.rejects(async () => {
      for await (const chunk of reading) assert.ok(chunk.length > 0)
    }, /is damaged/)
  })

  test('pushing a blob again replaces one that lost bytes, or whose bytes have changed', async () => {
    const store = await openFilesystemBlobStore({ folder })
    const bytes = someBytes(1_000)
    const digest = await aBlob(store, bytes)
    await truncate(pathOf(digest), 10)
    await aBlob(store, bytes)
    assert.deepEqual(await readAll(store, digest), bytes)
    await writeFile(pathOf(digest), Buffer.alloc(1_000))
    await aBlob(store, bytes)
    assert.deepEqual(await readAll(store, digest), bytes)
  })

  for (const size of [1_000, 2_000_000]) {
    test(`a deleted blob of ${size} bytes gives its space back`, async () => {
      const store = await openFilesystemBlobStore({ folder })
      const digest = await aBlob(store, someBytes(size))
      assert.equal(await store.delete(digest), true)
      await store.freed?.()
      assert.deepEqual(await filesIn(folder), [])
      if (process.platform === 'linux') assert.deepEqual(await openFilesIn(folder), [])
    })
  }

  test('what a process of an earlier version had yet to remove goes at the start', async () => {
    await mkdir(join(folder, 'deleted'))
    await writeFile(join(folder, 'deleted', '0'.repeat(32)), 'left behind')
    await openFilesystemBlobStore({ folder })
    assert.deepEqual(await filesIn(folder), [])
  })

  test('sessions are listed with the time of their last bytes, other files are not', async () => {
    const store = await openFilesystemBlobStore({ folder })
    const session = await store.begin()
    await store.append(session, 0, noChunks())
    const path = join(folder, 'uploads', session)
    await utimes(path, 1_000, 1_000)
    await writeFile(join(folder, 'uploads', 'notes.txt'), '')
    assert.deepEqual(await Array.fromAsync(store.listSessions()), [{ session, updatedAt: 1_000_000 }])
    await store.append(session, 0, chunks(someBytes(10)))
    const [listed] = await Array.fromAsync(store.listSessions())
    assert.equal(listed?.updatedAt, (await stat(path)).mtimeMs)
    assert.ok((listed?.updatedAt ?? 0) > 1_000_000)
  })

  test('no descriptor stays open', { skip: process.platform !== 'linux' && 'reads /proc' }, async () => {
    const store = await openFilesystemBlobStore({ folder })
    const digest = await aBlob(store, someBytes(2_000_000))
    for await (const _ of await store.read(digest)) break
    const unused = (await store.read(digest))[Symbol.asyncIterator]()
    await unused.return?.()
    await assert.rejects(async () => {
      for await (const _ of await store.read(digest)) throw new Error('client gone')
    })
    const session = await store.begin()
    await assert.rejects(store.append(session, 1, chunks(someBytes(1))))
    await assert.rejects(store.commit(session, 0, digest))
    await assert.rejects(store.read(digest, { start: 0, end: 2_000_000 }))
    assert.deepEqual(await openFilesIn(folder), [])
  })

  test('a full disk is `unavailable`, and the session goes on when there is room again', async (context) => {
    await onSmallDisk(context, folder, async () => {
      const store = await openFilesystemBlobStore({ folder })
      const filler = join(folder, 'filler')
      await writeFile(filler, new Uint8Array(1_500_000))
      const bytes = someBytes(1_000_000)
      const session = await store.begin()
      const kept = await store.append(session, 0, chunks(bytes.subarray(0, 300_000)))
      await assert.rejects(store.append(session, kept, chunks(bytes.subarray(kept))), (error) => {
        assert.ok(isFault(error, 'unavailable'))
        assert.equal((error.cause as NodeJS.ErrnoException).code, 'ENOSPC')
        return true
      })
      await rm(filler)
      assert.equal(await store.append(session, kept, chunks(bytes.subarray(kept))), bytes.length)
      await store.commit(session, bytes.length, sha256(bytes))
      assert.deepEqual(await readAll(store, sha256(bytes)), bytes)
    })
  })

  const pathOf = (digest: Parameters<typeof hexOf>[0]) =>
    join(folder, 'sha256', hexOf(digest).slice(0, 2), hexOf(digest))
})

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

async function openFilesIn(folder: string): Promise<string[]> {
  const descriptors = await readdir('/proc/self/fd')
  const paths = await Promise.all(descriptors.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')))
  return paths.filter((path) => path.startsWith(folder))
}
