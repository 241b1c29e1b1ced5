/** A folder that is not mounted lacks every blob: where nothing else is to be found, it is the store that is in doubt. */
import type { Digest } from '@berth/oci'

/** After so many, none is marked before another one is right. */
export const mostInARow = 10

/** Blobs that are no good, one after another, as one reader met them. */
export class BadInARow {
  readonly #digests = new Set<Digest>()

  /** Whether it may be marked. One that is met several times counts once. */
  add(digest: Digest): boolean {
    if (this.#digests.size < mostInARow) this.#digests.add(digest)
    return this.#digests.has(digest)
  }

  /** After one that is right: the store is there. */
  end(): void {
    this.#digests.clear()
  }
}
