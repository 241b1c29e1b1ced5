/** The admin user's two passwords. Key: (registry_id, name). Deleted with the registry. */
export interface RegistryPasswordsTable {
  registry_id: number
  name: 'password' | 'password2'
  /** Sealed with the data folder's secret key, because the owner may ask to see it again. */
  sealed: Uint8Array
  created_at: string
}
