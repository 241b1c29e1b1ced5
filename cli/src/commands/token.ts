import { firstRegistry } from '@berth/server/base/host-names.ts'
import { type CommandDeclaration, settingOptions } from '../command.ts'
import { configOfServer } from '../config.ts'
import { unknownRegistry, withCore } from '../core.ts'

export const token: CommandDeclaration = {
  name: 'token',
  summary: 'Print a refresh token (3 hours) for `docker login -u 00000000-0000-0000-0000-000000000000`.',
  rest: '[registry]',
  options: settingOptions(['data', 'database', 'secret-key', 'domain', 'config']),
  async run(given) {
    const registry = (given.rest[0] ?? firstRegistry).toLowerCase()
    const value = await withCore(configOfServer(given), async ({ registries, access, hosts }) => {
      if ((await registries.findRegistry(registry)) === undefined) throw unknownRegistry(registry)
      return access.issueAdminRefreshToken({ registry, audience: hosts.audienceOf(registry) })
    })
    console.log(value)
    return 0
  },
}
