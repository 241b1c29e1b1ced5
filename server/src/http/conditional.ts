/** Conditional requests on content that never changes under its entity tag (RFC 9110 §13). */
import type { IncomingHttpHeaders } from 'node:http'

/** An entity tag as ACR writes it: the digest in quotes. */
export const entityTag = (digest: string): string => `"${digest}"`

/** Whether `If-None-Match` names this digest: a list, `*`, weak or strong, with or without quotes. */
export function notModified(headers: IncomingHttpHeaders, digest: string): boolean {
  return listed(headers['if-none-match'], digest)
}

/** Whether `If-Match` is there and names something else. */
export function preconditionFailed(headers: IncomingHttpHeaders, digest: string): boolean {
  const wanted = headers['if-match']
  return wanted !== undefined && !listed(wanted, digest)
}

/** Whether `If-Range` allows a part to be sent: absent, or a strong match. A date never matches. */
export function rangeAllowed(headers: IncomingHttpHeaders, digest: string): boolean {
  const wanted = headers['if-range']
  return wanted === undefined || (typeof wanted === 'string' && bare(wanted) === digest && !wanted.startsWith('W/'))
}

function listed(header: string | undefined, digest: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((entry) => entry.trim() === '*' || bare(entry) === digest)
}

function bare(tag: string): string {
  return tag
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1')
}
