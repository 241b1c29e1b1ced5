import { s3Credentials, s3Skip, startS3 } from '../../../test/object-stores.ts'
import { objectStoreContract } from './object-store.contract.ts'
import { openS3, openS3BlobStore } from './s3.ts'

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
