/** The same move between what is really used on many machines. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { at } from '../../../test/core.ts'
import { anImage } from '../../../test/images.ts'
import { azureSkip, s3Skip, testAzure, testS3 } from '../../../test/object-stores.ts'
import { postgresSkip } from '../../../test/postgres.ts'
import {
  contents,
  fillStore,
  openFolderStore,
  openPostgresStore,
  rowsOf,
  type TestStore,
} from '../../../test/stores.ts'
import { openAzureBlobStore } from '../../backends/blobs/azure-blob.ts'
import { openFilesystemBlobStore } from '../../backends/blobs/filesystem.ts'
import { openMemoryBlobStore } from '../../backends/blobs/memory.ts'
import { openS3BlobStore } from '../../backends/blobs/s3.ts'
import { readLastId } from '../../backends/db/last-ids.ts'
import { systemClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { type MigrationOptions, migrate } from './migrate.ts'
import { undoMove } from './undo.ts'

const move = (source: TestStore, target: TestStore, options: Partial<MigrationOptions> = {}) =>
  migrate({
    ...{ source, target, from: source.place, to: target.place, verify: 'full', clock: systemClock },
    signal: new AbortController().signal,
    ...options,
  })

const lastId = ({ db }: TestStore) => db.read((tables) => readLastId(tables, 'manifests'))

/** Cut short while changes are refused, then to its end. */
async function moveInTwo(source: TestStore, target: TestStore): Promise<void> {
  const interruption = new AbortController()
  const onProgress: MigrationOptions['onProgress'] = ({ stage }) => {
    if (stage === 'verification') interruption.abort(new Error('Ctrl+C'))
  }
  await assert.rejects(move(source, target, { signal: interruption.signal, onProgress }), /Ctrl\+C/)
  await source.push('team/app', anImage({ seed: `from ${source.place.blobs}` }), 'meanwhile')
  await source.registry.deleteManifest(at('team/app'), { tag: 'latest' }).catch((error: unknown) => {
    if (!isFault(error, 'manifestUnknown')) throw error // it went with the first move
  })
  await move(source, target)
}

async function assertAlike(source: TestStore, target: TestStore): Promise<void> {
  const rows = await rowsOf(source)
  const linked = { ...rows, blobs: rows.blobs!.filter((row) => row.unlinked_since === null) }
  assert.deepEqual(await rowsOf(target), linked)
  assert.equal(await lastId(target), await lastId(source))
  assert.deepEqual(
    await Array.fromAsync(target.blobs.list()),
    linked.blobs.map(({ digest }) => digest),
  )
}

async function assertServes(store: TestStore): Promise<void> {
  const { bytes } = await store.registry.getManifest(at('team/app'), { tag: 'v1' })
  assert.deepEqual(Buffer.from(bytes), contents.app.manifest.bytes)
  const blob = await store.registry.getBlob(at('other'), contents.large.digest)
  const read = await blob.read()
  const chunks = read instanceof Uint8Array ? [read] : await Array.fromAsync(read, (chunk) => Buffer.from(chunk))
  assert.deepEqual(Buffer.concat(chunks), contents.large.bytes)
}

suite('migrate', () => {
  test('from SQLite and a folder to PostgreSQL, and back', { skip: postgresSkip }, async () => {
    await using first = await openFolderStore()
    await using folder = await openFolderStore()
    const blobs = await openFilesystemBlobStore({ folder: folder.place.blobs })
    await using second = await openPostgresStore(blobs, folder.place.blobs)
    await using third = await openFolderStore()
    await fillStore(first)
    await moveInTwo(first, second)
    await assertAlike(first, second)
    await assertServes(second)
    await moveInTwo(second, third)
    await assertAlike(second, third)
    await third.push('team/app', anImage({ seed: 'first' }), 'first')
    assert.ok((await lastId(third)) > (await lastId(second)))
  })

  test('PostgreSQL refuses changes from the moment of the move, until it is undone', {
    skip: postgresSkip,
  }, async () => {
    await using source = await openPostgresStore(openMemoryBlobStore(), 'memory')
    await using target = await openFolderStore()
    await fillStore(source)
    await move(source, target)
    const push = () => source.push('team/app', anImage({ seed: 'late' }), 'late')
    await assert.rejects(push(), (error) => isFault(error, 'unavailable'))
    await source.registry.getManifest(at('team/app'), { tag: 'v1' })
    assert.equal(await undoMove(source.db, target.db, systemClock), true)
    await push()
  })

  test('from a folder to S3 to Azure Blob Storage', {
    skip: [postgresSkip, s3Skip, azureSkip].find((skip) => skip !== false) ?? false,
  }, async () => {
    await using first = await openFolderStore()
    const s3 = await openS3BlobStore({ ...(await testS3()).options(), redirects: false })
    await using second = await openPostgresStore(s3, 's3://bucket')
    const azure = await openAzureBlobStore({ ...(await testAzure()).options(), redirects: false })
    await using third = await openPostgresStore(azure, 'azure-blob://account/container')
    await fillStore(first)
    await moveInTwo(first, second)
    await assertAlike(first, second)
    await assertServes(second)
    await moveInTwo(second, third)
    await assertAlike(second, third)
    await assertServes(third)
  })
})
