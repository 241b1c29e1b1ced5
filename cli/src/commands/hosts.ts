import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { firstRegistry, planeHosts } from '@berth/server/base/host-names.ts'
import type { CommandDeclaration } from '../command.ts'
import { settingOptions } from '../command.ts'
import { configOfServer } from '../config.ts'

export const hosts: CommandDeclaration = {
  name: 'hosts',
  summary: 'Print the lines that /etc/hosts needs, if any.',
  rest: '[registries...]',
  options: settingOptions(['data', 'domain', 'host', 'config']),
  async run(given) {
    const { domain, host } = configOfServer(given)
    const registries = given.rest.length > 0 ? given.rest : [firstRegistry]
    const names = [...registries, ...planeHosts].map((name) => `${name}.${domain}`)
    const unknown = await findUnknown(names, isKnown)
    if (unknown.length === 0) {
      console.log(`Nothing is needed: this machine knows ${names.join(', ')}.`)
      return 0
    }
    // The explanation goes elsewhere, so that `berth hosts | sudo tee -a /etc/hosts` does what one expects.
    console.error('This machine does not know these names; /etc/hosts needs:')
    for (const name of unknown) console.log(hostsLine(clientAddress(host), name))
    return 0
  },
}

export async function findUnknown(
  names: readonly string[],
  isKnown: (name: string) => Promise<boolean>,
): Promise<string[]> {
  const known = await Promise.all(names.map(isKnown))
  return names.filter((_, index) => !known[index])
}

/** Where a client on this machine reaches a server that listens on `host`. */
export function clientAddress(host: string): string {
  return isIP(host) === 0 || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}

export function hostsLine(address: string, name: string): string {
  return `${address} ${name}`
}

async function isKnown(name: string): Promise<boolean> {
  try {
    await lookup(name)
    return true
  } catch {
    return false // whatever the resolver's reason: clients will not reach the name either
  }
}
