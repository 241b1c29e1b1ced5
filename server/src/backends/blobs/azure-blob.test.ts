import { azureCredentials, azureSkip, startAzure } from '../../../test/object-stores.ts'
import { openAzureBlob, openAzureBlobStore } from './azure-blob.ts'
import { objectStoreContract } from './object-store.contract.ts'

objectStoreContract('azure-blob', {
  skip: azureSkip,
  start: startAzure,
  openObjects: openAzureBlob,
  open: openAzureBlobStore,
  withWrongSecret: (options) => ({ ...options, env: { AZURE_STORAGE_KEY: Buffer.alloc(64, 1).toString('base64') } }),
  elsewhere: (options) => ({ ...options, container: 'not-there' }),
  secrets: [azureCredentials.AZURE_STORAGE_KEY],
  putting: 'PUT /berthtest/',
})
