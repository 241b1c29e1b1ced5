/** The bytes of one blob, from store to store. */
import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, toDigest } from '@berth/oci'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import { isFault } from '../../base/fault.ts'
import { readBlob } from '../registry/blob-lookup.ts'
import { isLossOfBytes } from '../registry/integrity/examine-blob.ts'
import type { Parts, Verify } from './parts.ts'

/**
 * Streams a blob into the target, which hashes it on the way and keeps nothing that is not what its digest says; then proves
 * it. False when the source has no such bytes: they are missing, too few or too many, or wrong.
 */
export async function copyBytes(parts: Parts, digest: Digest, size: number): Promise<boolean> {
  const { source, target, hold, verify } = parts
  const found = await source.blobs.stat(digest)
  if (found?.size !== size) return false
  const session = await target.blobs.begin()
  try {
    const length = await target.blobs.append(session, 0, chunksOf(parts, digest, size), { closing: true })
    await target.blobs.commit(session, length, digest)
  } catch (error) {
    // What cannot be dropped now is an abandoned upload to the target's own collection.
    await target.blobs.abort(session).catch(() => undefined)
    if (isFault(error, 'digestMismatch')) return false
    if (!(error instanceof Unreadable)) throw error
    if (isBadDisk(error.cause)) return false
    throw error.cause
  }
  if (!(await isProved(target.blobs, digest, size, verify, hold.signal)))
    throw new Error(`${digest} is not in the target although it was stored there`)
  return true
}

/** Trouble of the source and not of the target, to which its chunks are given. */
class Unreadable extends Error {}

async function* chunksOf(
  { source, hold, count, tell }: Parts,
  digest: Digest,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of await readBlob(source.blobs, digest, size)) {
      hold.signal.throwIfAborted()
      yield chunk
      count.bytes += chunk.length
      tell()
    }
  } catch (error) {
    throw new Unreadable('the source', { cause: error })
  }
}

/** Gone since it was looked for, or where no disk can read it. */
const isBadDisk = (error: unknown) => isFault(error, 'blobUnknown') || isLossOfBytes(error)

/** Whether a store has a blob: with the right size, or with the right bytes. */
export async function isProved(
  store: BlobStore,
  digest: Digest,
  size: number,
  verify: Verify,
  signal: AbortSignal,
): Promise<boolean> {
  const found = await store.stat(digest)
  if (found?.size !== size) return false
  if (verify === 'sizes') return true
  const algorithm = algorithmOf(digest)
  const hash = createHash(algorithm)
  for await (const chunk of await readBlob(store, digest, size)) {
    signal.throwIfAborted()
    hash.update(chunk)
  }
  return toDigest(algorithm, hash.digest('hex')) === digest
}
