/** What must be on disk, and in which order, before the store says that a blob is kept. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { type Digest, hexOf } from '@berth/oci'
import { recordDisk } from '../../../test/disk-record.ts'
import { aBlob, chunks, isFaultOf, sha256, someBytes } from './blob-store.contract.ts'
import type { BlobStore } from './blob-store.ts'

const disk = recordDisk()
const { openFilesystemBlobStore } = await import('./filesystem.ts')

const home = mkdtempSync(join(tmpdir(), 'berth-durable-'))
after(() => rmSync(home, { recursive: true }))

const bytes = someBytes(100_000)
const digest = sha256(bytes)
const prefix = `sha256/${hexOf(digest).slice(0, 2)}`
const blob = `${prefix}/${hexOf(digest)}`

describe('filesystem blob store, in a power cut', {
  skip: process.platform === 'win32' && 'folders are not synced',
}, () => {
  let folder: string
  let store: BlobStore
  beforeEach(async () => {
    disk.beforeSync = undefined
    folder = join(mkdtempSync(join(home, 'case-')), 'blobs')
    store = await openFilesystemBlobStore({ folder })
    disk.restart(folder)
  })

  const pushed = async (): Promise<string> => {
    const session = await store.begin()
    await store.append(session, 0, chunks(bytes))
    return session
  }
  const commit = async (session: string): Promise<void> => {
    await store.commit(session, bytes.length, digest)
    disk.note('committed')
  }

  test('a new store has its own name on disk, and those of its folders', async () => {
    const own = join(mkdtempSync(join(home, 'case-')), 'deep', 'blobs')
    disk.restart(join(own, '..', '..'))
    await openFilesystemBlobStore({ folder: own })
    disk.note('opened')
    disk.assertOrder(['make deep', 'sync .', 'make deep/blobs', 'sync deep', 'opened'])
    for (const name of ['sha256', 'sha512', 'uploads']) {
      disk.assertOrder([`make deep/blobs/${name}`, 'sync deep/blobs', 'opened'])
    }
  })

  test('a store that another process made, and perhaps did not come to sync, is synced when it is opened', async () => {
    disk.restart(join(folder, '..'))
    await openFilesystemBlobStore({ folder })
    disk.note('opened')
    disk.assertOrder(['sync blobs', 'opened'])
    disk.assertOrder(['sync .', 'opened'])
  })

  test('a blob has its bytes on disk, then its name, then its folder’s entry', async () => {
    const session = await pushed()
    await commit(session)
    disk.assertOrder([
      `write uploads/${session}`,
      `sync uploads/${session}`,
      `rename uploads/${session} -> ${blob}`,
      `sync ${prefix}`,
      'committed',
    ])
  })

  test('the name of a new prefix folder is on disk before a blob is moved there', async () => {
    const session = await pushed()
    await commit(session)
    disk.assertOrder([`make ${prefix}`, 'sync sha256', `rename uploads/${session} -> ${blob}`, 'committed'])
  })

  test('so is that of a prefix folder which another process made, and perhaps did not come to sync', async () => {
    await commit(await pushed())
    await store.delete(digest)
    store = await openFilesystemBlobStore({ folder })
    disk.restart(folder)
    const session = await pushed()
    await commit(session)
    disk.assertOrder(['sync sha256', `rename uploads/${session} -> ${blob}`, 'committed'])
  })

  test('a digest that is there already has its folder’s entry on disk as well', async () => {
    await aBlob(store, bytes)
    disk.restart(folder)
    const session = await pushed()
    await commit(session)
    disk.assertOrder([`sync uploads/${session}`, `rename uploads/${session} -> ${blob}`, `sync ${prefix}`, 'committed'])
  })

  test('what a commit left out that died after its move is made up for', async () => {
    await leaveHalfCommitted()
    disk.restart(folder)
    store = await openFilesystemBlobStore({ folder })
    disk.restart(folder)
    assert.deepEqual(await store.ensureDurable(digest), { size: bytes.length })
    disk.note('durable')
    disk.assertOrder([`sync ${prefix}`, 'durable'])
    disk.assertOrder(['sync sha256', 'durable'])
  })

  test('each time again, for the folder; only once for the folder above it', async () => {
    await aBlob(store, bytes)
    store = await openFilesystemBlobStore({ folder })
    disk.restart(folder)
    for (let i = 0; i < 3; i++) await store.ensureDurable(digest)
    assert.deepEqual(
      disk
        .operations()
        .filter((what) => what.startsWith('sync'))
        .sort(),
      ['sync sha256', ...Array(3).fill(`sync ${prefix}`)],
    )
  })

  for (const failing of ['the bytes', 'the folder']) {
    test(`a commit fails when ${failing} cannot be synced`, async () => {
      const session = await pushed()
      const path = failing === 'the bytes' ? `uploads/${session}` : prefix
      disk.beforeSync = (synced) => {
        if (synced === path) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
      }
      await assert.rejects(store.commit(session, bytes.length, digest), { code: 'EIO' })
    })
  }

  test('bytes whose sync has failed are not believed to be on disk by the next try', async () => {
    const session = await pushed()
    disk.beforeSync = () => {
      throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    }
    await assert.rejects(store.commit(session, bytes.length, digest), { code: 'EIO' })
    disk.beforeSync = undefined
    await assert.rejects(store.commit(session, bytes.length, digest), isFaultOf('blobUploadUnknown'))
    assert.equal(await store.stat(digest), undefined)
  })

  async function leaveHalfCommitted(): Promise<Digest> {
    const session = await pushed()
    disk.beforeSync = (path) => {
      if (path === prefix) throw new Error('died here')
    }
    await assert.rejects(store.commit(session, bytes.length, digest), /died here/)
    disk.beforeSync = undefined
    return digest
  }
})
