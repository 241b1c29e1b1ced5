/**
 * The local certificate authority: made on the first start, reused by later ones, and able to vouch for nothing but the
 * domain, `localhost`, names below them, loopback addresses and the extra names. It issues a certificate for every name
 * that a client asks for (SNI), because clients refuse wildcards directly under a top-level label.
 */
import type { SecureContext } from 'node:tls'
import { BoundedCache } from '../base/bounded-cache.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { openAuthorityFolder } from './authority-folder.ts'
import { type AuthorityState, ensureState, renewalOf } from './authority-state.ts'
import { type CertificatePair, secureContextOf } from './certificate-pair.ts'
import type { Issuer } from './issue.ts'
import { isWithin, parseName } from './names.ts'

export interface AuthorityOptions {
  /** Created when absent. */
  readonly folder: string
  readonly domain: string
  /** Further host names and addresses of this server; the default certificate names them too. */
  readonly extraNames?: readonly string[]
  readonly clock?: Clock
}

export interface Authority {
  /** Path of the authority's certificate (PEM), for clients. */
  readonly certificateFile: string
  /** Whether it was made by this very call; false: an earlier start's, or another process's, is used. */
  readonly created: boolean
  /** Why a new authority took the place of an old one, which clients must know: a sentence for the operator. */
  readonly replaced: string | undefined
  /** For clients that name no host: `localhost`, 127.0.0.1, ::1, the domain and the extra names. Renewed in time. */
  defaultCertificate(): Promise<CertificatePair>
  /** For a name below the domain or `localhost`; undefined where the default is right or the name is somebody else's. */
  certificateFor(name: string): Promise<SecureContext | undefined>
}

/** How many names' certificates are kept in memory. */
const rememberedNames = 1_000

/** Safe for several processes that start at once: they end up with the same authority and default certificate. */
export async function openAuthority({
  folder: path,
  domain,
  extraNames = [],
  clock = systemClock,
}: AuthorityOptions): Promise<Authority> {
  const folder = await openAuthorityFolder(path)
  const parents = [...new Set(['localhost', parsed(domain)])]
  const names = [...new Set([...parents, '127.0.0.1', '::1', ...extraNames.map(parsed)])]
  const open = async () => withIssuing(await ensureState(folder, names, parents, clock.now()), clock)
  let current = await open()
  const { created, replaced } = current
  let renewal: Promise<void> | undefined
  const renew = () => {
    renewal ??= open()
      .then((renewed) => {
        current = renewed
      })
      .finally(() => {
        renewal = undefined
      })
    return renewal
  }
  return {
    certificateFile: folder.certificateFile,
    created,
    replaced,
    async defaultCertificate() {
      if (current.renewAtMs <= clock.now()) await renew()
      return current.server
    },
    async certificateFor(text) {
      const name = parseName(text)
      if (name === undefined || names.includes(name) || !isWithin(name, parents)) return undefined
      return current.contextFor(name)
    },
  }
}

/** Certificates on demand, each made once while it is remembered and not about to expire. */
function withIssuing(state: AuthorityState, clock: Clock) {
  let issuer: Promise<Issuer> | undefined
  const issued = new BoundedCache<string, Promise<IssuedContext>>(rememberedNames)
  const issue = async (name: string): Promise<IssuedContext> => {
    issuer ??= import('./issue.ts').then(({ createIssuer }) => createIssuer(state.authority, state.server.key))
    const pair = await (await issuer)([name], clock.now())
    return { context: secureContextOf(pair), renewAtMs: renewalOf(pair) }
  }
  return {
    ...state,
    async contextFor(name: string): Promise<SecureContext> {
      let entry = issued.get(name)
      if (entry === undefined || (await entry).renewAtMs <= clock.now()) {
        entry = issue(name)
        issued.set(name, entry)
        entry.catch(() => issued.delete(name))
      }
      return (await entry).context
    },
  }
}

interface IssuedContext {
  readonly context: SecureContext
  readonly renewAtMs: number
}

function parsed(text: string): string {
  const name = parseName(text)
  if (name === undefined) throw new Error(`neither a host name nor an address: ${text}`)
  return name
}
