/** Makes certificates. Loading @peculiar/x509 takes a tenth of a second: import this file only when one must be made. */
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'
import type { CertificatePair } from './certificate-pair.ts'
import { encodeNameConstraints, nameConstraintsOid } from './name-constraints.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 86_400_000
const authorityDays = 3652
/** Some clients refuse more than 398. */
const leafDays = 397
/** For clocks that are behind. */
const backdatedMs = 3_600_000

/** A new authority that may vouch for `permitted` names, those below them, addresses and networks, and nothing else. */
export async function createAuthority(permitted: readonly string[], nowMs: number): Promise<CertificatePair> {
  const keys = await createKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Berth local authority ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(nowMs - backdatedMs),
    notAfter: new Date(nowMs + authorityDays * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.Extension(nameConstraintsOid, true, Uint8Array.from(encodeNameConstraints(permitted))),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

export type Issuer = (names: readonly string[], nowMs: number) => Promise<CertificatePair>

/**
 * Opens an authority for issuing. Its server certificates are for exactly the given names and live 397 days, but not
 * longer than the authority; they share one key, which is made here unless it is given (PKCS 8, PEM).
 */
export async function createIssuer(authority: CertificatePair, leafKey?: string): Promise<Issuer> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const signingKey = await importKey(authority.key)
  const keys = leafKey === undefined ? await createKeys() : await keysOf(leafKey)
  const key = leafKey ?? (await exportKey(keys.privateKey))
  const extensions = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(issuer),
  ]
  return async (names, nowMs) => {
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      // Not a host name: where there is one, some clients hold it against the authority's constraints as well.
      subject: 'CN=Berth server',
      issuer: issuer.subject,
      notBefore: new Date(nowMs - backdatedMs),
      notAfter: new Date(Math.min(nowMs + leafDays * dayMs, issuer.notAfter.getTime())),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey,
      extensions: [
        ...extensions,
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
        ),
      ],
    })
    return { certificate: `${certificate.toString('pem')}\n`, key }
  }
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), algorithm, true, ['sign'])
}

async function keysOf(pem: string): Promise<webcrypto.CryptoKeyPair> {
  const privateKey = await importKey(pem)
  const { d: _, key_ops: __, ...publicPart } = await webcrypto.subtle.exportKey('jwk', privateKey)
  const publicKey = await webcrypto.subtle.importKey('jwk', publicPart, algorithm, true, ['verify'])
  return { privateKey, publicKey }
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}

/** Positive, at most 20 bytes (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
