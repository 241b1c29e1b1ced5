/** Key: digest. A row means: the store holds these bytes, durably. */
export interface BlobsTable {
  digest: string
  /** Bytes. */
  size: number
  created_at: string
}
