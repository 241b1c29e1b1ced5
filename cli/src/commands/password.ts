import { firstRegistry } from '@berth/server/base/host-names.ts'
import { type CommandDeclaration, CommandError, settingOptions } from '../command.ts'
import { configOfData } from '../config.ts'
import { unknownRegistry, withCore } from '../core.ts'

const names = ['password', 'password2'] as const

export const password: CommandDeclaration = {
  name: 'password',
  summary: "Print a registry's admin password, for `docker login --password-stdin`.",
  rest: '[registry]',
  options: [
    { flags: '--name <name>', description: 'which of the two: password or password2 (default: password)' },
    { flags: '--renew', description: 'replace it first; the other one stays good' },
    ...settingOptions(['data', 'database', 'secret-key', 'config']),
  ],
  async run(given) {
    const registry = (given.rest[0] ?? firstRegistry).toLowerCase()
    const wanted = given.options.name ?? 'password'
    const name = names.find((known) => known === wanted)
    if (name === undefined) throw new CommandError('--name: must be password or password2', 2)
    const value = await withCore(configOfData(given), async ({ registries }) => {
      if (given.options.renew === true) return registries.regeneratePassword(registry, name)
      return (await registries.listPasswords(registry)).find((one) => one.name === name)?.value
    })
    if (value === undefined) throw unknownRegistry(registry)
    console.log(value)
    return 0
  },
}
