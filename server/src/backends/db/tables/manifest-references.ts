/**
 * What a manifest names. Key: (manifest_id, role, digest). Index: (digest), to ask who still needs a blob.
 * Deleted with the manifest. A referenced blob or child need not exist: foreign layers, sparse indexes.
 */
export interface ManifestReferencesTable {
  manifest_id: number
  role: 'config' | 'layer' | 'child'
  digest: string
}
