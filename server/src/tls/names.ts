/** Which names the local authority may vouch for: the domain, `localhost`, everything below them, and loopback addresses. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { isLoopback } from '../base/loopback.ts'

const hostName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/

/**
 * A host name or an address in its one spelling: lower case, no brackets, no final dot, IPv6 shortened, IPv4-mapped
 * addresses as IPv4. Undefined for anything else.
 */
export function parseName(text: string): string | undefined {
  const name = text
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
  if (name.includes('%')) return undefined // an IPv6 zone means nothing to others
  if (isIP(name) !== 0) return ipaddr.process(name).toString()
  return hostName.test(name) ? name : undefined
}

/** Whether a parsed name is one of the parents, below one, or a loopback address. */
export function isWithin(name: string, parents: readonly string[]): boolean {
  return isLoopback(name) || parents.some((parent) => name === parent || name.endsWith(`.${parent}`))
}
