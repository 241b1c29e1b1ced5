import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Whether a text is an address (never a name, not even `127.example.com`) that only this machine can be reached by. */
export function isLoopback(address: string): boolean {
  return isIP(address) !== 0 && ipaddr.process(address).range() === 'loopback'
}
