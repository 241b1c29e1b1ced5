/**
 * The extension that makes trusting the authority safe: clients refuse its certificates for any other name.
 * Spec: RFC 5280, 4.2.1.10. Encoded here because @peculiar/x509 has no class for it.
 */
import { isIP, isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'
import { isLoopback } from '../base/loopback.ts'

export const nameConstraintsOid = '2.5.29.30'

export const loopbackNetworks = ['127.0.0.0/8', '::1/128']

/** permitted: domain names (with everything below them), addresses, and networks in CIDR notation. Returns DER. */
export function encodeNameConstraints(permitted: readonly string[]): Buffer {
  return der(0x30, der(0xa0, ...permitted.map(encodeSubtree)))
}

/** Whether a certificate's constraints let a parsed name pass. certificate: DER, with constraints that were encoded here. */
export function permits(certificate: Buffer, name: string): boolean {
  return subtreesOver(name).some((base) => certificate.includes(encodeSubtree(base)))
}

/** What must be permitted for a name to pass: any of these. */
function subtreesOver(name: string): string[] {
  if (isIP(name) === 0) {
    const labels = name.split('.')
    return labels.map((_, index) => labels.slice(index).join('.'))
  }
  if (!isLoopback(name)) return [name]
  return isIPv4(name) ? [name, '127.0.0.0/8'] : [name]
}

/** GeneralSubtree with a dNSName [2], or an iPAddress [7] that is address and mask. */
function encodeSubtree(base: string): Buffer {
  const [address = '', prefix] = base.split('/')
  if (isIP(address) === 0) return der(0x30, der(0x82, Buffer.from(base, 'ascii')))
  const bytes = ipaddr.parse(address).toByteArray()
  const bits = prefix === undefined ? bytes.length * 8 : Number(prefix)
  const mask = isIPv4(address)
    ? ipaddr.IPv4.subnetMaskFromPrefixLength(bits).toByteArray()
    : ipaddr.IPv6.subnetMaskFromPrefixLength(bits).toByteArray()
  return der(0x30, der(0x87, Buffer.from([...bytes, ...mask])))
}

/** A tag, a length below 65,536 and the contents. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const lengthBytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), content])
}
