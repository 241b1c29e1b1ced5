/** Keys that sign tokens. Key: kid. The newest that is not retired signs; the others verify until `expires_at`. */
export interface SigningKeysTable {
  kid: string
  algorithm: 'RS256'
  /** JWK as JSON. */
  public_key: string
  /** PKCS #8, sealed with the data folder's secret key. */
  sealed_private_key: Uint8Array
  created_at: string
  /** From here on it signs nothing any more. */
  retires_at: string
  /** From here on it verifies nothing any more, and the row may go. */
  expires_at: string
}
