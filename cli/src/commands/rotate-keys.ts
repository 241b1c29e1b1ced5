import { type CommandDeclaration, settingOptions } from '../command.ts'
import { configOf } from '../config.ts'
import { withCore } from '../core.ts'

export const rotateKeys: CommandDeclaration = {
  name: 'rotate-keys',
  summary: 'Sign tokens with a new key from now on; those signed before stay good until they expire.',
  options: settingOptions(['data', 'config']),
  async run(given) {
    await withCore(configOf(given), ({ signingKeys }) => signingKeys.rotate())
    console.log('Tokens are signed with a new key; a running server takes it up within a minute.')
    return 0
  },
}
