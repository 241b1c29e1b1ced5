/** The authority's files: `ca.pem` (for everybody), `ca.key`, and `server.pem`, the default certificate with its key. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
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

export async function openAuthorityFolder(path: string): Promise<AuthorityFolder> {
  const certificateFile = join(path, 'ca.pem')
  const keyFile = join(path, 'ca.key')
  const serverFile = join(path, 'server.pem')
  await mkdir(path, { recursive: true })
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
      await write(keyFile, key, 0o600)
      await write(certificateFile, certificate, 0o644)
    },
    writeServer: ({ certificate, key }) => write(serverFile, certificate + key, 0o600),
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

/** Whole or not at all, also after a power cut. */
async function write(file: string, content: string, mode: number): Promise<void> {
  const part = `${file}.${randomBytes(6).toString('hex')}.part`
  const handle = await open(part, 'wx', mode)
  try {
    await handle.chmod(mode) // whatever the umask says
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(part, file)
}
