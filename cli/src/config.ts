/** The server's configuration, as a command of the same machine sees it. */
import type { Config } from '@berth/server/config/config.ts'
import { ConfigError, loadConfig } from '@berth/server/config/load.ts'
import { readLastStart } from '@berth/server/start/last-start.ts'
import { CommandError, type Given, usageExitCode } from './command.ts'

/**
 * The configuration of the server that was last started on the data folder; flags win over what that start was told.
 * Throws a `CommandError` that lists every mistake.
 */
export function configOfServer(given: Given): Config {
  const last = readLastStart(configOf(given).dataFolder)
  const flags = Object.fromEntries(Object.entries(given.options).filter(([, value]) => value !== undefined))
  return configOf({ ...given, options: { ...last, ...flags } })
}

/** Throws a `CommandError` that lists every mistake. */
export function configOf({ options }: Given): Config {
  try {
    return loadConfig({ flags: options })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const [first, ...more] = error.mistakes
    if (more.length === 0) throw new CommandError(first ?? '', usageExitCode, { cause: error })
    const list = error.mistakes.map((mistake) => `  ${mistake}`).join('\n')
    throw new CommandError(`the configuration has ${error.mistakes.length} mistakes:\n${list}`, usageExitCode, {
      cause: error,
    })
  }
}
