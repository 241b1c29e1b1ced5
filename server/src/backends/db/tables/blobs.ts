import type { Generated } from 'kysely'

/**
 * Key: digest. A row means: the store holds these bytes, durably, unless it is unlinked: a collection that was cut short
 * may have taken the bytes of an unlinked one already, and nobody can read it then but by pushing it again.
 * Partial indexes: (unlinked_since, digest), (digest) where damaged_at is set. Index: (scrubbed_at, digest).
 * Whoever makes the first link or removes the last one writes this row, so that two of them exclude each other.
 */
export interface BlobsTable {
  digest: string
  /** Bytes. */
  size: number
  created_at: string
  /** Since when no repository links it; null while one does. The review queue of the collection. */
  unlinked_since: Generated<string | null>
  /** Set when the bytes were found to be wrong: the blob counts as not there until it is pushed again. */
  damaged_at: Generated<string | null>
  /** When the bytes were last hashed and found right; a push counts. */
  scrubbed_at: Generated<string>
}
