/** A certificate (chain) and its private key, as PEM. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'

export interface CertificatePair {
  readonly certificate: string
  readonly key: string
}

/** Throws when the two do not belong together. */
export function secureContextOf({ certificate, key }: CertificatePair): SecureContext {
  // Without `ca`, Node would parse its whole list of authorities, which only a client needs.
  return createSecureContext({ cert: certificate, key, ca: [], minVersion: 'TLSv1.2' })
}

/** The certificate, when both can be read and belong together. */
export function parsePair({ certificate, key }: CertificatePair): X509Certificate | undefined {
  try {
    const parsed = new X509Certificate(certificate)
    return parsed.checkPrivateKey(createPrivateKey(key)) ? parsed : undefined
  } catch {
    return undefined // not PEM, cut short, or of an unknown kind: for the caller all the same
  }
}
