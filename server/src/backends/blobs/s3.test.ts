import assert from 'node:assert/strict'
import { test } from 'node:test'
import { s3Credentials, s3Skip, startS3 } from '../../../test/object-stores.ts'
import { checkBlobStore } from './blob-store-check.ts'
import { objectStoreContract } from './object-store.contract.ts'
import { openS3, openS3BlobStore } from './s3.ts'

test('a region that nobody knows is said in one sentence', async () => {
  const given = process.env
  process.env = { HOME: '/nowhere' }
  try {
    const store = await openS3BlobStore({ bucket: 'bucket', prefix: '', credentials: s3Credentials })
    const check = checkBlobStore(store, { name: 'the-store', patienceMs: 0, onWaiting: () => undefined })
    await assert.rejects(check, { message: 'the-store cannot be used (Region is missing)' })
    await store.dispose()
  } finally {
    process.env = given
  }
})

objectStoreContract('s3', {
  skip: s3Skip,
  start: startS3,
  openObjects: openS3,
  open: openS3BlobStore,
  withWrongSecret: (options) => ({ ...options, credentials: { ...s3Credentials, secretAccessKey: 'wrong' } }),
  elsewhere: (options) => ({ ...options, bucket: 'not-there' }),
  secrets: [s3Credentials.secretAccessKey],
  putting: 'PUT /berth-test/',
})
