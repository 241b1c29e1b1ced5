/**
 * Key: id. Indexes: (updated_at), to find abandoned ones; (store_session); (committing_digest) where it is set. A row lives
 * from the first request after POST to commit, cancel or expiry; written without sync, since a client can start again.
 */
export interface UploadSessionsTable {
  /** The session's name in URLs. */
  id: string
  registry_id: number
  /** The repository's name: the repository itself need not exist yet. */
  repository: string
  /** The blob store's name of the session. */
  store_session: string
  /** Bytes that are known to be written, in order. */
  offset: number
  /**
   * What the session is being closed with, from the start of the closing request until the row goes or the request has failed (not
   * where it was killed); else null. While it is set, the bytes of that digest are not collected.
   */
  committing_digest: string | null
  /** Who is writing now, and until when that is believed without a sign of life; both null between requests. */
  writer: string | null
  writer_until: string | null
  created_at: string
  updated_at: string
}
