import type { Generated } from 'kysely'

/**
 * Key: id. Unique: (registry_id, name). Deleted with the registry.
 * A repository is visible (catalog, tag list) while manifest_count > 0; a partial index on (registry_id, name) serves
 * the catalog. It comes to be with its first blob, mount or manifest.
 */
export interface RepositoriesTable {
  id: Generated<number>
  registry_id: number
  name: string
  manifest_count: Generated<number>
  created_at: string
  updated_at: string
}
