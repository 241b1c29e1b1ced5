/** Salted hashes of secrets that are never shown again. */
import { randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, Buffer>(scrypt)

/** `scrypt$<salt>$<hash>`, both base64url; Node's default cost (RFC 7914: N=16384, r=8, p=1). */
export async function hashSecret(secret: string): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(secret, salt, 32)
  return `scrypt$${salt.toString('base64url')}$${hash.toString('base64url')}`
}
