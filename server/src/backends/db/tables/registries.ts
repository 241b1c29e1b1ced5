import type { Generated } from 'kysely'

/** Key: id. Unique: name. Switches are 0 or 1. */
export interface RegistriesTable {
  id: Generated<number>
  /** Lower case; the first label of the login server. */
  name: string
  /** `Basic`, `Standard` or `Premium`. */
  sku: string
  admin_user_enabled: number
  anonymous_pull_enabled: number
  /** Whether manifests may name layers and children that are not there; see docs/compatibility.md. */
  sparse_manifests_enabled: number
  created_at: string
}
