/** Who and what there is above registries. Ids are lower-case UUIDs. */

/** Key: id. */
export interface TenantsTable {
  id: string
  created_at: string
}

/** Key: id. */
export interface SubscriptionsTable {
  id: string
  tenant_id: string
  display_name: string
  created_at: string
}

/** Key: (subscription_id, name). */
export interface ResourceGroupsTable {
  subscription_id: string
  /** As created; compared without regard to case. */
  name: string
  location: string
  created_at: string
}

/** An application that may sign in. Key: client_id. */
export interface ServicePrincipalsTable {
  client_id: string
  tenant_id: string
  display_name: string
  /** scrypt of the secret with its salt; see core/directory/secret-hash.ts. */
  secret_hash: string
  created_at: string
}
