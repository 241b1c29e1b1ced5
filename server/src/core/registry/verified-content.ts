/** Damaged bytes are never handed out whole: what is sent is hashed on the way, unless that was done a short while ago. */
import { createHash } from 'node:crypto'
import { algorithmOf, type Digest, toDigest } from '@berth/oci'
import { BoundedCache } from '../../base/bounded-cache.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'

/** Hashing costs as much as sending, so a blob that has just been proved good is believed for so long. */
const believedMs = 60 * 60 * 1000
const mostBelieved = 65_536

export interface ContentVerifier {
  /** Whether it was proved a short while ago. */
  believes(digest: Digest): boolean
  /**
   * All of a blob's bytes (`size` of them) as they come; the last chunk is given only once the whole has proved right.
   * Faults, in its place: `blobDamaged`.
   */
  verified(digest: Digest, size: number, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>
}

export function createContentVerifier(clock: Clock): ContentVerifier {
  const proved = new BoundedCache<Digest, number>(mostBelieved)

  async function* hashing(
    digest: Digest,
    size: number,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const algorithm = algorithmOf(digest)
    const hash = createHash(algorithm)
    let received = 0
    for await (const chunk of chunks) {
      hash.update(chunk)
      received += chunk.length
      if (received >= size) {
        const actual = toDigest(algorithm, hash.digest('hex'))
        if (actual !== digest) throw new Fault('blobDamaged', { digest, reason: `its bytes are ${actual}` })
        proved.set(digest, clock.now())
      }
      yield chunk
    }
  }

  function believes(digest: Digest): boolean {
    const at = proved.get(digest)
    return at !== undefined && clock.now() - at < believedMs
  }

  return {
    believes,
    verified: (digest, size, chunks) => (believes(digest) ? chunks : hashing(digest, size, chunks)),
  }
}
