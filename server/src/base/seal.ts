/** Encryption of secrets that must be shown again, under a key that is kept outside the database. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const nonceBytes = 12
const tagBytes = 16

export interface Sealer {
  /** `context` binds the result to its place (table, row): it opens nowhere else. */
  seal(plain: string, context: string): Uint8Array
  /** Throws when the bytes were changed, or sealed under another key or context. */
  open(sealed: Uint8Array, context: string): string
}

/** key: 32 bytes. AES-256-GCM; the result is nonce, tag and ciphertext in this order. */
export function sealerOf(key: Uint8Array): Sealer {
  return {
    seal(plain, context) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
      const text = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), text])
    },
    open(sealed, context) {
      const bytes = Buffer.from(sealed)
      const nonce = bytes.subarray(0, nonceBytes)
      const tag = bytes.subarray(nonceBytes, nonceBytes + tagBytes)
      const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context)).setAuthTag(tag)
      const text = bytes.subarray(nonceBytes + tagBytes)
      return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8')
    },
  }
}
