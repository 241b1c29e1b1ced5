/** What a client shows to say who it is. */
import { BoundedCache } from '../../base/bounded-cache.ts'

export type Credential =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }

/** 8 MiB at most. */
const rememberedHeaders = 2048
const rememberedLength = 4096

/** The user name that says "the password is a token" (seen from az, kubelet and helm). */
export const nullGuid = '00000000-0000-0000-0000-000000000000'

/**
 * Reads an `Authorization` header. Undefined for one that cannot be understood, which is not the same as none.
 * Spec: RFC 7617 (Basic; the password may hold colons, both are UTF-8), RFC 6750 (Bearer).
 */
export function parseAuthorization(header: string | undefined): Credential | undefined {
  if (header === undefined) return { kind: 'anonymous' }
  const found = /^(basic|bearer) +([\x21-\x7e]+) *$/i.exec(header)
  const value = found?.[2]
  if (found === null || value === undefined) return undefined
  if (found[1]?.toLowerCase() === 'bearer') return { kind: 'bearer', token: value }
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return undefined
  const text = Buffer.from(value, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  return { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Reads `Authorization` headers, the same Bearer token only once; of passwords nothing is kept. */
export function createAuthorizationReader(): (header: string | undefined) => Credential | undefined {
  const known = new BoundedCache<string, Credential>(rememberedHeaders)
  return (header) => {
    if (header === undefined) return parseAuthorization(header)
    const remembered = known.get(header)
    if (remembered !== undefined) return remembered
    const credential = parseAuthorization(header)
    if (credential?.kind === 'bearer' && header.length <= rememberedLength) known.set(header, credential)
    return credential
  }
}
