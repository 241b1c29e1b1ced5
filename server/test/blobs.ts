/** Blob stores for tests, each empty and of its own: in memory, in a folder, or with `BLOBS=s3` or `azure-blob` on a real server. */
import { openAzureBlobStore } from '../src/backends/blobs/azure-blob.ts'
import type { BlobStore } from '../src/backends/blobs/blob-store.ts'
import { openFilesystemBlobStore } from '../src/backends/blobs/filesystem.ts'
import { openMemoryBlobStore } from '../src/backends/blobs/memory.ts'
import { openS3BlobStore } from '../src/backends/blobs/s3.ts'
import { formatBlobsUrl } from '../src/config/blobs-url.ts'
import { azureCredentials, s3Credentials, testAzure, testS3 } from './object-stores.ts'

/** What this run of the tests is on. */
const kind = process.env.BLOBS ?? 'memory'

/** folder: where to keep them instead. Without links, so that every store answers downloads alike. */
export async function openTestBlobs({ folder }: { readonly folder?: string } = {}): Promise<BlobStore> {
  if (kind === 's3') return openS3BlobStore({ ...(await testS3()).options(), redirects: false })
  if (kind === 'azure-blob') return openAzureBlobStore({ ...(await testAzure()).options(), redirects: false })
  if (kind !== 'memory') throw new Error(`BLOBS=${kind} is neither s3 nor azure-blob`)
  return folder === undefined ? openMemoryBlobStore() : openFilesystemBlobStore({ folder })
}

export interface BlobFlags {
  readonly flags: readonly string[]
  /** With the credentials. */
  readonly env: Readonly<Record<string, string>>
}

/** What the real program is told about its blobs: nothing, or with `BLOBS` an empty place in a store. */
export async function blobFlags(): Promise<BlobFlags> {
  if (kind === 's3') return s3Flags()
  if (kind === 'azure-blob') return azureFlags()
  return { flags: [], env: {} }
}

export async function s3Flags(): Promise<BlobFlags> {
  const { bucket, prefix, endpoint, region, pathStyle = false } = (await testS3()).options()
  const { accessKeyId, secretAccessKey } = s3Credentials
  return {
    flags: ['--blobs', formatBlobsUrl({ kind: 's3', bucket, prefix, endpoint, region, pathStyle })],
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
  }
}

export async function azureFlags(): Promise<BlobFlags> {
  const { account, container, prefix, endpoint } = (await testAzure()).options()
  return {
    flags: ['--blobs', formatBlobsUrl({ kind: 'azure-blob', account, container, prefix, endpoint })],
    env: azureCredentials,
  }
}
