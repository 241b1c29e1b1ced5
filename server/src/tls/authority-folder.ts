/** The authority's files: `ca.pem` (for everybody), `ca.key`, and `server.pem`, the default certificate with its key. */
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureFolder } from '../base/ensure-folder.ts'
import { writeWhole } from '../base/write-once.ts'
import type { CertificatePair } from './certificate-pair.ts'

export interface AuthorityFolder {
  /** Absolute path of the authority's certificate. */
  readonly certificateFile: string
  readonly path: string
  /** What is stored, unchecked. */
  readAuthority(): Promise<CertificatePair | undefined>
  readServer(): Promise<CertificatePair | undefined>
  writeAuthority(pair: CertificatePair): Promise<void>
  writeServer(pair: CertificatePair): Promise<void>
  /** Moves the certificate aside, under the day's name; returns the new name, or undefined when there was none. */
  retireAuthority(nowMs: number): Promise<string | undefined>
}

/** Makes the folder where it is not, for its owner only. */
export async function openAuthorityFolder(path: string): Promise<AuthorityFolder> {
  const certificateFile = join(path, 'ca.pem')
  const keyFile = join(path, 'ca.key')
  const serverFile = join(path, 'server.pem')
  await ensureFolder(path)
  return {
    certificateFile,
    path,
    async readAuthority() {
      const [certificate, key] = await Promise.all([read(certificateFile), read(keyFile)])
      return certificate === undefined && key === undefined
        ? undefined
        : { certificate: certificate ?? '', key: key ?? '' }
    },
    async readServer() {
      const text = await read(serverFile)
      if (text === undefined) return undefined
      const keyAt = text.indexOf('-----BEGIN PRIVATE KEY-----')
      return { certificate: text.slice(0, keyAt), key: text.slice(keyAt) }
    },
    async writeAuthority({ certificate, key }) {
      await writeWhole(keyFile, key)
      await writeWhole(certificateFile, certificate, 0o644)
    },
    writeServer: ({ certificate, key }) => writeWhole(serverFile, certificate + key),
    async retireAuthority(nowMs) {
      if ((await read(certificateFile)) === undefined) return undefined
      const day = new Date(nowMs).toISOString().slice(0, 10)
      let aside = join(path, `ca-${day}.pem`)
      for (let copy = 2; (await read(aside)) !== undefined; copy++) aside = join(path, `ca-${day}-${copy}.pem`)
      await rename(certificateFile, aside)
      return aside
    },
  }
}

async function read(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
