/**
 * What a manifest names. Key: (manifest_id, role, digest). Index: (digest, repository_id), to ask who in a repository
 * still needs a blob or a child. Deleted with the manifest. A referenced blob or child need not exist: foreign layers,
 * sparse indexes.
 */
export interface ManifestReferencesTable {
  manifest_id: number
  role: 'config' | 'layer' | 'child'
  digest: string
  /** The manifest's, for the index. */
  repository_id: number
}
