import { type CommandDeclaration, settingOptions } from '../command.ts'
import { configOfData } from '../config.ts'
import { withCore } from '../core.ts'

export const rotateKeys: CommandDeclaration = {
  name: 'rotate-keys',
  summary: 'Sign tokens with a new key from now on; those signed before stay good until they expire.',
  options: settingOptions(['data', 'database', 'secret-key', 'config']),
  async run(given) {
    await withCore(configOfData(given), ({ signingKeys }) => signingKeys.rotate())
    console.log('Tokens are signed with a new key; a running server takes it up within a minute.')
    return 0
  },
}
