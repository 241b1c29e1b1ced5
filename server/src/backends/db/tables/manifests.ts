import type { Generated } from 'kysely'

/**
 * Key: id. Unique: (repository_id, digest). Index: (repository_id, subject_digest, digest) where subject_digest is set.
 * Deleted with the repository. Never updated but for updated_at: another body is another digest.
 */
export interface ManifestsTable {
  id: Generated<number>
  repository_id: number
  digest: string
  media_type: string
  /** Bytes of the manifest itself. */
  size: number
  /** Bytes of the manifest, its config and its layers together, as `imageSize` shows it. */
  image_size: number
  artifact_type: string | null
  config_media_type: string | null
  architecture: string | null
  os: string | null
  subject_digest: string | null
  /** A JSON object of strings; what the referrers API copies into its descriptors. */
  annotations: string | null
  created_at: string
  updated_at: string
  /** The exact bytes that were pushed; last, so that lists need not read past it. */
  bytes: Uint8Array
}
