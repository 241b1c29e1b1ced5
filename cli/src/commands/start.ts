import { settingNames } from '@berth/server/config/settings.ts'
import { type CommandDeclaration, CommandError, settingOptions } from '../command.ts'
import { configOf } from '../config.ts'

export const start: CommandDeclaration = {
  name: 'start',
  summary: 'Serve until a signal comes.',
  options: settingOptions(settingNames),
  async run(given) {
    const config = configOf(given)
    const { StartError, startServer } = await import('@berth/server/main.ts')
    try {
      await startServer(config)
      return 0
    } catch (error) {
      if (error instanceof StartError) throw new CommandError(error.message, 1, { cause: error })
      throw error
    }
  },
}
