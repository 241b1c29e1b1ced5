import { blobStoreContract } from './blob-store.contract.ts'
import { openMemoryBlobStore } from './memory.ts'

blobStoreContract('memory', async () => openMemoryBlobStore(), {
  skip: {
    'a huge blob passes through without being held in memory': 'memory is where this store keeps them',
  },
})
