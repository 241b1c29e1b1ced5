import type { Generated } from 'kysely'

/**
 * Which repository may read which blob. Key: (repository_id, digest). Index: (digest, repository_id). Deleted with the
 * repository, but what counts links (`registry_blobs`, usage, `blobs.unlinked_since`) is kept by core/registry/links.ts only.
 */
export interface RepositoryBlobsTable {
  repository_id: number
  digest: string
  created_at: string
  /**
   * Since when no manifest of the repository names it; null while one does. A sign that somebody counts on the blob, such
   * as a HEAD, moves it. Partial index (unused_since, repository_id, digest): the review queue of the collection.
   */
  unused_since: Generated<string | null>
}
