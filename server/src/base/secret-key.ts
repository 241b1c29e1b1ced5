/** The data folder's master secret, kept outside the database, and the keys that are derived from it. */
import { hkdfSync, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { writeOnce } from './write-once.ts'

const secretBytes = 32

export interface Keys {
  /** Seals what must be shown again. */
  readonly seal: Uint8Array
  /** Signs the names of upload sessions. */
  readonly uploadSessions: Uint8Array
}

/** Makes a secret (mode 0600) where there is none. Only for an empty data folder: it opens nothing sealed by another. */
export async function createSecret(file: string): Promise<void> {
  if (existsSync(file)) return // perhaps in a folder that cannot be written, such as a container's secrets
  await writeOnce(file, `${randomBytes(secretBytes).toString('hex')}\n`)
}

/** Reads the secret from a file of 64 hexadecimal digits. Throws an Error that names the file when it cannot be used. */
export async function loadKeys(file: string): Promise<Keys> {
  const text = (await readSecret(file)).trim()
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error(`${file} does not hold a key of 64 hexadecimal digits`)
  const secret = Buffer.from(text, 'hex')
  const derive = (purpose: string) => new Uint8Array(hkdfSync('sha256', secret, '', `berth/${purpose}`, 32))
  return { seal: derive('seal'), uploadSessions: derive('upload-sessions') }
}

async function readSecret(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const reason =
      'it seals the secrets in the database; bring it from another server on that database, or from the backup'
    throw new Error(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}): ${reason}`, { cause: error })
  }
}
