/** What a client shows to say who it is. */

export type Credential =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }

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
