/** Finding a blob: one prepared statement; small ones from memory where they were read before. */
import { algorithmOf, type Digest, digestOf } from '@berth/oci'
import type { BlobStore, ByteRange } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { fixedQuery } from '../../backends/db/fixed-query.ts'
import { BoundedBytes } from '../../base/bounded-bytes.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault, isFault } from '../../base/fault.ts'
import { BadInARow, mostInARow } from './integrity/bad-in-a-row.ts'
import { markDamaged } from './integrity/damage.ts'
import { isStoreThere } from './integrity/store-witness.ts'
import type { LinkRenewal } from './links.ts'
import { type Place, repositoryAt } from './place.ts'
import { createContentVerifier } from './verified-content.ts'

export interface Blob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /**
   * A chunk is valid only until the next one is asked for.
   * A range that is not the whole of a blob above 8 MiB is sent as it is stored: only the client can tell whether it is right.
   * Faults: `blobDamaged`, at the latest in place of the last bytes; `blobUnknown` where the blob has gone meanwhile.
   */
  read(range?: ByteRange): Promise<Uint8Array | AsyncIterable<Uint8Array>>
  /** An address that hands the whole blob to whoever knows it, for a while. Absent where the store has no such. */
  link?(): Promise<URL>
}

export interface BlobLookup {
  /** Faults: `blobUnknown`, also for a blob that only other repositories have, and for one that is known to be damaged. */
  getBlob(place: Place, digest: Digest): Promise<Blob>
  /**
   * As `getBlob`, for a client that asks whether it must push the blob: one that is told "no" gets time to name the blob in
   * a manifest, also when nothing has named it for long.
   */
  statBlob(place: Place, digest: Digest): Promise<Blob>
}

export interface RememberingLookup extends BlobLookup {
  /** Drops the bytes that this process keeps of a blob, for one who has just pushed it anew. */
  forgetBlob(digest: Digest): void
}

/** So many bytes of small blobs are kept in a process. */
const keptBytes = 16 * 1024 * 1024
const largestKept = 64 * 1024
/** The first part of a larger one is sent unproved: to hash this much takes some milliseconds. */
const largestProvedFirst = 8 * 1024 * 1024

/** ACR's are good for 20 to 30 minutes. */
const linkSeconds = 20 * 60

const linkedBlob = fixedQuery<Place & { readonly digest: string }>()((db, param) =>
  repositoryAt(db, { registry: param('registry'), repository: param('repository') })
    .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
    .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .where('repository_blobs.digest', '=', param('digest'))
    .where('blobs.damaged_at', 'is', null)
    .select(['blobs.size', 'blobs.scrubbed_at', 'repository_blobs.repository_id', 'repository_blobs.unused_since']),
)

interface FoundBlob {
  readonly digest: Digest
  readonly size: number
  readonly scrubbed_at: string
  readonly repository_id: number
  readonly unused_since: string | null
}

/**
 * Only bytes are remembered, by their digest. Whether the repository has the blob is asked each time, so a delete on
 * another process is seen at once. All that is kept was hashed on its way in: it is right whatever the disk has by now, and
 * whichever process has marked the blob or taken a push of it.
 */
export function createBlobLookup(
  db: Database,
  store: BlobStore,
  clock: Clock,
  renewLink: LinkRenewal,
): RememberingLookup {
  const kept = new BoundedBytes<Digest>(keptBytes)
  const verifier = createContentVerifier(clock)
  const bad = new BadInARow()

  /** What the store lacks is looked for once more: a push may have put it there in the meantime. */
  async function open(row: FoundBlob, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const { digest, size } = row
    try {
      const chunks = await readBlob(store, digest, size, range)
      bad.end()
      return chunks
    } catch (error) {
      if (isFault(error, 'unavailable')) throw error
      const found = await store.stat(digest)
      if (found !== undefined && found.size >= size) return readBlob(store, digest, size, range)
      if (found !== undefined) throw await damaged(row, `it has ${found.size} of ${size} bytes`)
      if (await isStoreThere(db, store, digest)) throw await damaged(row, 'its bytes are gone')
      const reason = 'its bytes are gone, like all that were right last: is the store whole?'
      throw new Fault('blobDamaged', { digest, reason })
    }
  }

  /**
   * Marks the blob, unless that is in doubt, and returns what to throw. The row as it was found guards the mark, so that it
   * does not hit a blob that somebody has healed meanwhile, or that a collection has taken.
   */
  async function damaged(row: FoundBlob, reason: string): Promise<Fault> {
    const { digest } = row
    kept.delete(digest)
    if (!bad.add(digest))
      return new Fault('blobDamaged', { digest, reason: `${reason}, like ${mostInARow} others: is the store whole?` })
    return (await markDamaged(db, clock, row))
      ? new Fault('blobDamaged', { digest, reason })
      : new Fault('blobUnknown', { digest })
  }

  async function* noticingDamage(
    row: FoundBlob,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* chunks
    } catch (error) {
      throw isFault(error, 'blobDamaged') ? await damaged(row, error.detail.reason) : error
    }
  }

  async function readSmall(row: FoundBlob): Promise<Uint8Array> {
    return keep(row, await collect(await open(row), row.size))
  }

  async function readLarge(row: FoundBlob): Promise<AsyncIterable<Uint8Array>> {
    const stored = await open(row)
    const verified = verifier.verified(row.digest, row.size, stored)
    return verified === stored ? stored : noticingDamage(row, verified)
  }

  /** Nothing proves a part; so the whole is proved before it, unless that takes long. */
  async function readPart(row: FoundBlob, range: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    if (row.size <= largestProvedFirst && !verifier.believes(row.digest)) {
      for await (const _ of await readLarge(row));
    }
    return open(row, range)
  }

  /** Hashed each time, however short a while ago the blob was proved: nobody looks at what is kept any more. */
  async function keep(row: FoundBlob, content: Uint8Array): Promise<Uint8Array> {
    const { digest } = row
    const actual = digestOf(algorithmOf(digest), content)
    if (actual !== digest) throw await damaged(row, `its bytes are ${actual}`)
    kept.set(digest, content)
    return content
  }

  async function find({ registry, repository }: Place, digest: Digest): Promise<FoundBlob> {
    const [row] = await db.select(linkedBlob, { registry, repository, digest })
    if (row === undefined) throw new Fault('blobUnknown', { digest })
    return { digest, ...row }
  }

  const blobOf = (row: FoundBlob): Blob => {
    const { digest, size } = row
    return {
      digest,
      size,
      async read(range) {
        const isWhole = range === undefined || range.end - range.start + 1 === size
        const content = kept.get(digest) ?? (size <= largestKept ? await readSmall(row) : undefined)
        if (content !== undefined) return isWhole ? content : content.subarray(range.start, range.end + 1)
        return isWhole ? readLarge(row) : readPart(row, range)
      },
      ...(store.link && { link: () => store.link!(digest, { ttlSeconds: linkSeconds }) }),
    }
  }

  return {
    async getBlob(place, digest) {
      return blobOf(await find(place, digest))
    },

    async statBlob(place, digest) {
      const row = await find(place, digest)
      if (!(await renewLink(row.repository_id, digest, row.unused_since))) throw new Fault('blobUnknown', { digest })
      return blobOf(row)
    },

    forgetBlob(digest) {
      kept.delete(digest)
    },
  }
}

/** Opens a blob whose size the database knows: a file that has lost bytes fails before the first one is sent. */
export function readBlob(
  store: BlobStore,
  digest: Digest,
  size: number,
  range: ByteRange = { start: 0, end: size - 1 },
): Promise<AsyncIterable<Uint8Array>> {
  return size === 0 ? store.read(digest) : store.read(digest, range)
}

/** A file that has grown is as good as before, up to its old end. */
async function collect(chunks: AsyncIterable<Uint8Array>, size: number): Promise<Uint8Array> {
  const content = new Uint8Array(size)
  let filled = 0
  for await (const chunk of chunks) {
    content.set(chunk.subarray(0, size - filled), filled)
    filled += chunk.length
  }
  if (filled < size) throw new Error(`a blob of ${size} bytes ended after ${filled}`)
  return content
}
