/** Which registry a host names. Rules only: whether the registry exists is asked where it matters. */
import { isPlainDomain } from '../base/addresses.ts'
import { BoundedCache } from '../base/bounded-cache.ts'
import { planeHosts } from '../base/host-names.ts'
import { isLoopback } from '../base/loopback.ts'
import { splitAuthority } from './authority.ts'

/** The rules never change, and clients use the same few hosts. */
const rememberedHosts = 256
const reserved: ReadonlySet<string> = new Set(planeHosts)

export interface HostRules {
  /** The registry behind a client's host, or undefined for a host that is nobody's. */
  registryOf(authority: string): string | undefined
  /** The login server of a registry without a port: what its tokens are good for, whatever port they are shown at. */
  audienceOf(registry: string): string
}

/**
 * domain: without a port. plainRegistry: the registry that the domain's plain name and loopback addresses stand for, where
 * the domain is `localhost`.
 */
export function createHostRules(domain: string, plainRegistry: string): HostRules {
  const suffix = `.${domain}`
  const known = new BoundedCache<string, string>(rememberedHosts)

  function registryOf(authority: string): string | undefined {
    const { host } = splitAuthority(authority)
    const address = host.replace(/^\[(.*)\]$/, '$1')
    if (isPlainDomain(domain) && (host === domain || isLoopback(address))) return plainRegistry
    if (!host.endsWith(suffix)) return undefined
    const name = host.slice(0, -suffix.length)
    return name.includes('.') || reserved.has(name) ? undefined : name
  }

  return {
    registryOf(authority) {
      const remembered = known.get(authority)
      if (remembered !== undefined) return remembered
      const registry = registryOf(authority)
      if (registry !== undefined) known.set(authority, registry)
      return registry
    },
    audienceOf: (registry) => `${registry}.${domain}`,
  }
}
