/** What the authority's folder must hold, how to tell that it does, and how to bring it about. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { AuthorityFolder } from './authority-folder.ts'
import { type CertificatePair, parsePair } from './certificate-pair.ts'
import { withFolderLock } from './folder-lock.ts'
import { loopbackNetworks, permits } from './name-constraints.ts'
import { isWithin } from './names.ts'

/** An authority and the default certificate that it issued, both good for a while yet. */
export interface AuthorityState {
  readonly authority: CertificatePair
  readonly server: CertificatePair
  /** When to look again. */
  readonly renewAtMs: number
  /** Whether the authority is a new one, and why, when it took the place of another: a sentence for the operator. */
  readonly created: boolean
  readonly replaced: string | undefined
}

const unchanged = { created: false, replaced: undefined }

/** Certificates are renewed so long before they expire. */
const renewMs = 30 * 86_400_000

/** names: what the default certificate is for; parents: the names that, with everything below them, may be asked for. */
export async function ensureState(
  folder: AuthorityFolder,
  names: readonly string[],
  parents: readonly string[],
  nowMs: number,
): Promise<AuthorityState> {
  const found = await findState(folder, names, nowMs)
  if (found !== undefined) return found
  return withFolderLock(folder.path, async () => {
    const madeByAnother = await findState(folder, names, nowMs)
    if (madeByAnother !== undefined) return madeByAnother
    const { authority, ...news } = await ensureAuthority(folder, names, parents, nowMs)
    const { createIssuer } = await import('./issue.ts')
    const issue = await createIssuer(authority)
    const server = await issue(names, nowMs)
    await folder.writeServer(server)
    return { authority, server, renewAtMs: renewalOf(server), ...news }
  })
}

async function findState(
  folder: AuthorityFolder,
  names: readonly string[],
  nowMs: number,
): Promise<AuthorityState | undefined> {
  const [authority, server] = await Promise.all([folder.readAuthority(), folder.readServer()])
  if (authority === undefined || server === undefined) return undefined
  const issuer = parsePair(authority)
  const certificate = parsePair(server)
  if (issuer === undefined || certificate === undefined) return undefined
  if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) return undefined
  if (!names.every((name) => isFor(certificate, name))) return undefined
  const renewAtMs = Math.min(renewalOf(server), renewalOf(authority))
  return renewAtMs > nowMs ? { authority, server, renewAtMs, ...unchanged } : undefined
}

async function ensureAuthority(
  folder: AuthorityFolder,
  names: readonly string[],
  parents: readonly string[],
  nowMs: number,
): Promise<Omit<AuthorityState, 'server' | 'renewAtMs'>> {
  const stored = await folder.readAuthority()
  const reason = stored === undefined ? undefined : findReasonToReplace(stored, names, nowMs)
  if (stored !== undefined && reason === undefined) return { authority: stored, ...unchanged }
  const { createAuthority } = await import('./issue.ts')
  const others = names.filter((name) => !isWithin(name, parents))
  const authority = await createAuthority([...new Set([...parents, ...others]), ...loopbackNetworks], nowMs)
  const keptAs = await folder.retireAuthority(nowMs)
  await folder.writeAuthority(authority)
  const replaced =
    reason === undefined
      ? undefined
      : `${folder.certificateFile} is a new certificate authority, because ${reason}: clients must trust it anew` +
        (keptAs === undefined ? '' : ` (the old one is now ${keptAs})`)
  return { authority, created: true, replaced }
}

function findReasonToReplace(stored: CertificatePair, names: readonly string[], nowMs: number): string | undefined {
  const certificate = parsePair(stored)
  if (certificate === undefined) return 'the stored certificate and key are damaged or do not belong together'
  if (renewalOf(stored) <= nowMs) return `the stored one expires on ${certificate.validTo}`
  const refused = names.filter((name) => !permits(certificate.raw, name))
  return refused.length > 0 ? `the stored one may not vouch for ${refused.join(', ')}` : undefined
}

/** When a certificate must be made anew, in milliseconds since the epoch. */
export function renewalOf({ certificate }: CertificatePair): number {
  return new X509Certificate(certificate).validToDate.getTime() - renewMs
}

function isFor(certificate: X509Certificate, name: string): boolean {
  const found = isIP(name) === 0 ? certificate.checkHost(name, { wildcards: false }) : certificate.checkIP(name)
  return found !== undefined
}
