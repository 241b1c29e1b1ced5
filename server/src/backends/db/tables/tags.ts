/** Key: (repository_id, name), in byte order. Index: (manifest_id). Deleted with the manifest. */
export interface TagsTable {
  repository_id: number
  name: string
  manifest_id: number
  created_at: string
  updated_at: string
}
