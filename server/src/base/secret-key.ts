/** The data folder's master secret, kept outside the database, and the keys that are derived from it. */
import { hkdfSync, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { writeOnce } from './write-once.ts'

const secretBytes = 32

export interface Keys {
  /** Seals what must be shown again. */
  readonly seal: Uint8Array
  /** Signs the names of upload sessions. */
  readonly uploadSessions: Uint8Array
}

/** Reads the secret from a file of 64 hexadecimal digits, which is made (mode 0600) when it is not there. */
export async function loadKeys(file: string): Promise<Keys> {
  await writeOnce(file, `${randomBytes(secretBytes).toString('hex')}\n`)
  const text = (await readFile(file, 'utf8')).trim()
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error(`${file} does not hold a key of 64 hexadecimal digits`)
  const secret = Buffer.from(text, 'hex')
  const derive = (purpose: string) => new Uint8Array(hkdfSync('sha256', secret, '', `berth/${purpose}`, 32))
  return { seal: derive('seal'), uploadSessions: derive('upload-sessions') }
}
