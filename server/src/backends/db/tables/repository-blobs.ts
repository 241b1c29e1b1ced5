/** Which repository may read which blob. Key: (repository_id, digest). Index: (digest). Deleted with the repository. */
export interface RepositoryBlobsTable {
  repository_id: number
  digest: string
  created_at: string
}
