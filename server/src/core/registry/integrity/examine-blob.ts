/** Reading all of a stored blob and hashing it, without believing what anybody says about it. */
import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, toDigest } from '@berth/oci'
import type { BlobStore, ByteRange } from '../../../backends/blobs/blob-store.ts'
import { isFault } from '../../../base/fault.ts'

export type StoredBytes =
  | { readonly kind: 'missing' }
  /** The disk does not give them back. */
  | { readonly kind: 'unreadable'; readonly reason: string }
  /** actual: the digest that they have. */
  | { readonly kind: 'read'; readonly size: number; readonly actual: Digest }

export interface ReadingOptions {
  /** Opens the blob anew after so many bytes, for a reader that takes hours; one go unless stated. */
  readonly sliceBytes?: number
  /** Awaited after each chunk of so many bytes; may throw to end the reading. */
  readonly pace?: (bytes: number) => Promise<void>
}

/** What a disk says that has lost bytes, or whose file system has noticed that they are wrong. */
const lostBytes = new Set(['EIO', 'EBADMSG', 'EUCLEAN'])

/** Whether reading a blob failed because its bytes are lost: every other failure of the store says nothing about the blob. */
export const isLossOfBytes = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && lostBytes.has(String(error.code))

/** Every other failure of the store passes through: it says nothing about the blob. */
export async function examineBlob(
  store: BlobStore,
  digest: Digest,
  { sliceBytes, pace = async () => undefined }: ReadingOptions = {},
): Promise<StoredBytes> {
  const algorithm = algorithmOf(digest)
  const hash = createHash(algorithm)
  let size = 0
  try {
    for (const range of await slicesOf(store, digest, sliceBytes)) {
      for await (const chunk of await store.read(digest, range)) {
        hash.update(chunk)
        size += chunk.length
        await pace(chunk.length)
      }
    }
  } catch (error) {
    if (isFault(error, 'blobUnknown')) return { kind: 'missing' }
    if (isLossOfBytes(error)) return { kind: 'unreadable', reason: error.message }
    throw error
  }
  return { kind: 'read', size, actual: toDigest(algorithm, hash.digest('hex')) }
}

/** Undefined stands for the whole. */
async function slicesOf(
  store: BlobStore,
  digest: Digest,
  sliceBytes: number | undefined,
): Promise<(ByteRange | undefined)[]> {
  const size = sliceBytes === undefined ? undefined : (await store.stat(digest))?.size
  if (sliceBytes === undefined || size === undefined || size <= sliceBytes) return [undefined]
  const starts = Array.from({ length: Math.ceil(size / sliceBytes) }, (_, index) => index * sliceBytes)
  return starts.map((start) => ({ start, end: Math.min(start + sliceBytes, size) - 1 }))
}
