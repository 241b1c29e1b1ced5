/** Which host and scheme the client used, also behind a proxy that the operator named. */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Fault } from '../base/fault.ts'

export interface ClientView {
  readonly scheme: 'http' | 'https'
  /** Lower case, with the port when the client wrote one. */
  readonly authority: string
  /** The client's own address; IPv4-mapped addresses appear as IPv4. */
  readonly remoteAddress: string
}

const hostPattern = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/

/** trusted: whether an address is a proxy whose `X-Forwarded-For/Host/Proto` are believed. */
export function createClientView(trusted: (address: string) => boolean): (message: IncomingMessage) => ClientView {
  return (message) => {
    const peer = plainAddress(message.socket.remoteAddress ?? '')
    // RFC 9112 §3.2: with two of them, we and whoever stands before us might each believe another one.
    if (countHosts(message.rawHeaders) > 1)
      throw new Fault('requestInvalid', { reason: 'there is more than one Host header' })
    const encrypted = (message.socket as TLSSocket).encrypted === true
    const direct = { scheme: encrypted ? 'https' : 'http', host: message.headers.host, address: peer } as const
    if (!trusted(peer)) return view(direct.scheme, direct.host, direct.address)
    const proto = lastOf(message.headers['x-forwarded-proto'])
    return view(
      proto === 'https' || proto === 'http' ? proto : direct.scheme,
      lastOf(message.headers['x-forwarded-host']) ?? direct.host,
      clientBehind(trusted, message.headers['x-forwarded-for']) ?? direct.address,
    )
  }
}

/** Splits `host:port`; an IPv6 address keeps its brackets. */
export function splitAuthority(authority: string): { host: string; port: number | undefined } {
  const found = /^(.*?)(?::(\d+))?$/.exec(authority)
  const port = found?.[2]
  return { host: found?.[1] ?? '', port: port === undefined ? undefined : Number(port) }
}

function view(scheme: 'http' | 'https', host: string | undefined, remoteAddress: string): ClientView {
  const authority = host?.toLowerCase()
  if (authority === undefined || !hostPattern.test(authority)) {
    throw new Fault('requestInvalid', { reason: 'the Host header is missing or malformed' })
  }
  return { scheme, authority, remoteAddress }
}

/** rawHeaders: names and values in turn. */
function countHosts(rawHeaders: readonly string[]): number {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.length === 4 && text.toLowerCase() === 'host')
    .length
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

function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address
}
