/**
 * How much is stored, exact at every moment: changed in the transaction that changes links or manifests. Each count is the
 * sum of a few rows, so that writers seldom meet on one; a single row may be below zero.
 */

/** Key: (registry_id, digest). Deleted with the registry. */
export interface RegistryBlobsTable {
  registry_id: number
  digest: string
  /** How many repositories of the registry link the blob; a row with none is removed. */
  links: number
}

/** Key: (registry_id, shard). Deleted with the registry. */
export interface RegistryUsageTable {
  registry_id: number
  shard: number
  /** Of the distinct blobs that any repository of the registry links. */
  blob_bytes: number
  manifest_bytes: number
}

/** Key: (repository_id, shard). Deleted with the repository. */
export interface RepositoryUsageTable {
  repository_id: number
  shard: number
  /** Of the distinct blobs that the repository links. */
  blob_bytes: number
  manifest_bytes: number
}
