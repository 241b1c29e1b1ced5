import { formatBlobsUrl } from './blobs-url.ts'
import type { BlobsConfig } from './config.ts'

/** Where blobs are, as settings spell it: a folder, an address, or `memory`. */
export function placeOfBlobs(blobs: BlobsConfig): string {
  if (blobs.kind === 'filesystem') return blobs.folder
  return blobs.kind === 'memory' ? 'memory' : formatBlobsUrl(blobs)
}
