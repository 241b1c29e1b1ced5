import { isIP } from 'node:net'

/**
 * What stands for one client: an IPv4 address, or the /64 of an IPv6 one, because a customer has all of it and a guesser
 * would have a fresh address for every try. Other text stays as it is.
 */
export function clientNetwork(address: string): string {
  if (isIP(address) !== 6) return address
  const [head = '', tail] = address.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter((group) => group !== '').length
  const all = [...groups, ...Array.from({ length: missing }, () => '0'), ...(tail ?? '').split(':')]
  return `${all.slice(0, 4).join(':')}::/64`
}
