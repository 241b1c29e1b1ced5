import type { RegistryRecord, RegistrySettings } from '@berth/server/core/directory/registries.ts'
import { type CommandDeclaration, CommandError, type Given, settingOptions } from '../command.ts'
import { configOfData } from '../config.ts'
import { unknownRegistry, withCore } from '../core.ts'

type Switch = 'adminUserEnabled' | 'anonymousPullEnabled' | 'sparseManifestsEnabled'

const switches: Readonly<Record<string, { readonly key: Switch; readonly description: string }>> = {
  'admin-user': { key: 'adminUserEnabled', description: 'whether the two admin passwords let anybody in' },
  'anonymous-pull': { key: 'anonymousPullEnabled', description: 'whether anybody may pull without a login' },
  'sparse-manifests': {
    key: 'sparseManifestsEnabled',
    description: 'whether manifests may name layers or children that are not there',
  },
}

export const registry: CommandDeclaration = {
  name: 'registry',
  summary: 'List the registries, or show and change the switches of one.',
  rest: '[name]',
  options: [
    ...Object.entries(switches).map(([flag, { description }]) => ({ flags: `--${flag} <on|off>`, description })),
    ...settingOptions(['data', 'database', 'secret-key', 'config']),
  ],
  async run(given) {
    const name = given.rest[0]?.toLowerCase()
    const changes = changesOf(given)
    if (name === undefined && Object.keys(changes).length > 0) throw new CommandError('name the registry to change', 2)
    await withCore(configOfData(given), async ({ registries }) => {
      if (name === undefined) {
        for (const record of await registries.listRegistries()) console.log(lineOf(record))
        return
      }
      if (!(await registries.updateRegistry(name, changes))) throw unknownRegistry(name)
      const record = await registries.findRegistry(name)
      if (record !== undefined) console.log(lineOf(record))
    })
    return 0
  },
}

function changesOf({ options }: Given): Partial<RegistrySettings> {
  const changes: Partial<Record<Switch, boolean>> = {}
  for (const [flag, { key }] of Object.entries(switches)) {
    const value = options[flag]
    if (value === undefined) continue
    if (value !== 'on' && value !== 'off') throw new CommandError(`--${flag}: must be on or off`, 2)
    changes[key] = value === 'on'
  }
  return changes
}

function lineOf(record: RegistryRecord): string {
  const states = Object.entries(switches).map(([flag, { key }]) => `${flag}=${record[key] ? 'on' : 'off'}`)
  return [record.name, record.sku, ...states].join('  ')
}
