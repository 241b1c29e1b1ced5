import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { isPlainDomain, withPort } from '@berth/server/base/addresses.ts'
import { firstRegistry } from '@berth/server/base/host-names.ts'
import type { Config } from '@berth/server/config/config.ts'
import { type CommandDeclaration, CommandError, settingOptions } from '../command.ts'
import { configOfServer } from '../config.ts'
import { docker, podman } from '../trust/container-engines.ts'
import { az, java, node } from '../trust/languages.ts'
import { type Machine, thisMachine } from '../trust/machine.ts'
import { systemStore } from '../trust/system-store.ts'
import { readText, Skipped, type TrustedAuthority, type TrustTarget } from '../trust/target.ts'

const targets: readonly TrustTarget[] = [systemStore, docker, podman, az, node, java]

export const trust: CommandDeclaration = {
  name: 'trust',
  summary: "Say how this machine's programs come to trust Berth's certificates; with --apply, do it.",
  rest: '[registries...]',
  options: [
    { flags: '--apply', description: 'do what this user may do here; safe to repeat' },
    ...settingOptions(['data', 'domain', 'port', 'config']),
  ],
  async run(given) {
    const config = configOfServer(given)
    const authority = readAuthority(config, given.rest.length > 0 ? given.rest : [firstRegistry])
    console.log(`The certificate authority is ${authority.file} (${authority.name}).`)
    const domains = [...new Set(['localhost', config.domain])].join(', ')
    console.log(`It can vouch for nothing but ${domains}, names below, and addresses of this machine.\n`)
    if (given.options.apply === true) return applyTrust(authority, thisMachine, targets, console.log)
    for (const line of trustCommands(authority, thisMachine, targets)) console.log(line)
    console.log('\n`berth trust --apply` does what it may of this.')
    return 0
  },
}

/** Throws a `CommandError` where there is no authority to trust. */
export function readAuthority(config: Config, registries: readonly string[]): TrustedAuthority {
  if (config.tls.kind === 'none') throw new CommandError('plain HTTP (--http) has no certificate to trust')
  if (config.tls.kind === 'files') {
    throw new CommandError(`the certificate is your own (${config.tls.certificate}): trust whoever issued it`)
  }
  const file = join(config.tls.folder, 'ca.pem')
  const pem = readText(file)
  if (pem === undefined) throw new CommandError(`there is no readable ${file}: the first \`npm start\` makes it`)
  const name = /^CN=(.*)$/m.exec(new X509Certificate(pem).subject)?.[1] ?? 'Berth local authority'
  const names = isPlainDomain(config.domain) ? ['localhost'] : []
  const hosts = [...names, ...registries.map((registry) => `${registry}.${config.domain}`)]
  return {
    file,
    pem,
    name,
    id: `berth-${name.split(' ').at(-1)?.replace(/\W/g, '')}`,
    registries: hosts.map((host) => withPort(host, config.publicPort)),
  }
}

export function trustCommands(
  authority: TrustedAuthority,
  machine: Machine,
  targets: readonly TrustTarget[],
): string[] {
  return targets.flatMap((target) => [
    `${target.name}:`,
    ...target.commands(authority, machine).map((command) => `  ${command}`),
  ])
}

/** Returns the exit code: 1 when no program trusts the authority now. */
export function applyTrust(
  authority: TrustedAuthority,
  machine: Machine,
  targets: readonly TrustTarget[],
  say: (line: string) => void,
): number {
  let trusting = 0
  for (const target of targets) {
    try {
      const { changed, detail } = target.apply(authority, machine)
      trusting++
      say(`${target.name}: ${changed ? 'done' : 'was done already'} (${detail})`)
    } catch (error) {
      if (!(error instanceof Skipped)) throw error
      say(`${target.name}: skipped because ${error.message}`)
    }
  }
  return trusting > 0 ? 0 : 1
}
