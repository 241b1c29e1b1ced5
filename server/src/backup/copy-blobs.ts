/** Blobs from one store to another, each hashed on its way. */
import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import type { BlobStore } from '../backends/blobs/blob-store.ts'
import { isFault } from '../base/fault.ts'

export interface NamedBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
}

/** `kept`: it was there already. The last three are about the store that it should have come from. */
export type Outcome = 'kept' | 'copied' | 'missing' | 'damaged' | 'unreadable'

export interface CopyOptions {
  /** Read what is there already and replace it when it is damaged; else its size is enough. */
  readonly verify: boolean
}

/**
 * Durable when it resolves. Throws what the target throws; what is wrong with the source is the outcome, and a blob of the
 * target is only ever replaced by a whole one.
 */
export async function copyBlob(
  blob: NamedBlob,
  from: BlobStore,
  to: BlobStore,
  { verify }: CopyOptions,
): Promise<Outcome> {
  const there = await to.stat(blob.digest)
  if (there?.size === blob.size && (!verify || (await isWhole(blob, to)))) return 'kept'
  const session = await to.begin()
  try {
    const arrived = await to.append(session, 0, readFrom(from, blob))
    await to.commit(session, arrived, blob.digest)
    return 'copied'
  } catch (error) {
    await to.abort(session)
    if (isFault(error, 'digestMismatch')) return 'damaged'
    if (!(error instanceof SourceError)) throw error
    return isFault(error.cause, 'blobUnknown') ? 'missing' : 'unreadable'
  }
}

/** Tells a source that cannot be read from a target that cannot be written. */
class SourceError extends Error {}

async function* readFrom(store: BlobStore, { digest, size }: NamedBlob): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* await bytesOf(store, { digest, size })
  } catch (error) {
    throw new SourceError(`blob ${digest} cannot be read`, { cause: error })
  }
}

const bytesOf = (store: BlobStore, { digest, size }: NamedBlob) =>
  store.read(digest, size === 0 ? undefined : { start: 0, end: size - 1 })

async function isWhole(blob: NamedBlob, store: BlobStore): Promise<boolean> {
  const hash = createHash(algorithmOf(blob.digest))
  try {
    for await (const chunk of await bytesOf(store, blob)) hash.update(chunk)
  } catch {
    return false // whatever the reason: it is written anew
  }
  return hash.digest('hex') === hexOf(blob.digest)
}
