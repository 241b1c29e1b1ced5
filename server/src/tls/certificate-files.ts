/** The operator's own certificate (`--tls-cert`, `--tls-key`), read again when its files change. */
import { readFile, stat } from 'node:fs/promises'
import { type CertificatePair, secureContextOf } from './certificate-pair.ts'

export interface CertificateFiles {
  /** The newest pair. Rejects while one file is new and the other still old: the caller keeps what it has. */
  defaultCertificate(): Promise<CertificatePair>
}

/** Throws when the files cannot be read or do not belong together. */
export async function openCertificateFiles(files: { certificate: string; key: string }): Promise<CertificateFiles> {
  const readPair = async () => {
    const [certificate, key] = await Promise.all([readFile(files.certificate, 'utf8'), readFile(files.key, 'utf8')])
    return checked({ certificate, key })
  }
  const readStamp = async () => {
    const stats = await Promise.all([stat(files.certificate), stat(files.key)])
    return stats.map(({ mtimeMs, ino, size }) => `${mtimeMs} ${ino} ${size}`).join()
  }
  let stamp = await readStamp()
  let pair = await readPair()
  return {
    async defaultCertificate() {
      const newStamp = await readStamp()
      if (newStamp === stamp) return pair
      pair = await readPair()
      stamp = newStamp
      return pair
    },
  }
}

function checked(pair: CertificatePair): CertificatePair {
  secureContextOf(pair)
  return pair
}
