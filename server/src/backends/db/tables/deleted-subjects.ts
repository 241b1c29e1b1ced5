/**
 * Manifests that are deleted and whose referrers are still to follow, because there were too many for one transaction.
 * Key: (repository_id, digest). A row goes when the last of them has gone. Deleted with the repository.
 */
export interface DeletedSubjectsTable {
  repository_id: number
  /** Of the subject. */
  digest: string
  /** Referrers with a greater id were pushed after the deletion and stay. */
  newest_referrer_id: number
}
