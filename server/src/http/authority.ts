/** Which host and scheme the client used, also behind a proxy that the operator named. */
import { isIP } from 'node:net'
import { BoundedCache } from '../base/bounded-cache.ts'
import { Fault } from '../base/fault.ts'
import type { Transport } from './transport.ts'

export interface ClientView {
  readonly scheme: 'http' | 'https'
  /** Lower case, with the port when the client wrote one. */
  readonly authority: string
  /** The client's own address; IPv4-mapped addresses appear as IPv4. */
  readonly remoteAddress: string
}

/** Checked once, as clients write the same few. */
const rememberedHosts = 256
const hostPattern = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/

export type Connection = Pick<Transport, 'headers' | 'hostLines' | 'peerAddress' | 'encrypted'>

/** trusted: whether an address is a proxy whose `X-Forwarded-For/Host/Proto` are believed. */
export function createClientView(trusted: (address: string) => boolean): (connection: Connection) => ClientView {
  const authorities = new BoundedCache<string, string>(rememberedHosts)
  const view = (scheme: 'http' | 'https', host: string | undefined, remoteAddress: string): ClientView => {
    let authority = host === undefined ? undefined : authorities.get(host)
    if (authority === undefined) {
      authority = authorityOf(host)
      authorities.set(host ?? '', authority)
    }
    return { scheme, authority, remoteAddress }
  }
  return ({ headers, hostLines, peerAddress, encrypted }) => {
    // RFC 9112 §3.2: with two of them, we and whoever stands before us might each believe another one.
    if (hostLines > 1) throw new Fault('requestInvalid', { reason: 'there is more than one Host header' })
    const scheme = encrypted ? 'https' : 'http'
    if (!trusted(peerAddress)) return view(scheme, headers.host, peerAddress)
    const proto = lastOf(headers['x-forwarded-proto'])
    return view(
      proto === 'https' || proto === 'http' ? proto : scheme,
      lastOf(headers['x-forwarded-host']) ?? headers.host,
      clientBehind(trusted, headers['x-forwarded-for']) ?? peerAddress,
    )
  }
}

/** Splits `host:port`; an IPv6 address keeps its brackets. */
export function splitAuthority(authority: string): { host: string; port: number | undefined } {
  const found = /^(.*?)(?::(\d+))?$/.exec(authority)
  const port = found?.[2]
  return { host: found?.[1] ?? '', port: port === undefined ? undefined : Number(port) }
}

function authorityOf(host: string | undefined): string {
  const authority = host?.toLowerCase()
  if (authority === undefined || !hostPattern.test(authority)) {
    throw new Fault('requestInvalid', { reason: 'the Host header is missing or malformed' })
  }
  return authority
}

function lastOf(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header.join(',') : header
  return text?.split(',').at(-1)?.trim().toLowerCase()
}

/** The last address in the chain that is not itself a trusted proxy. */
function clientBehind(
  trusted: (address: string) => boolean,
  header: string | string[] | undefined,
): string | undefined {
  const chain = (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((address) => plainAddress(address.trim()))
    .filter((address) => isIP(address) !== 0)
  return chain.findLast((address) => !trusted(address)) ?? chain[0]
}

/** IPv4-mapped addresses become IPv4. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address
}
