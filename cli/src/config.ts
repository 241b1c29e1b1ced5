/** The server's configuration, as a command of the same machine sees it. */
import type { Config } from '@berth/server/config/config.ts'
import { withoutVariables } from '@berth/server/config/env.ts'
import { ConfigError, type ConfigSources, loadConfig } from '@berth/server/config/load.ts'
import { type LastStart, readLastStart } from '@berth/server/start/last-start.ts'
import { CommandError, type Given, usageExitCode } from './command.ts'

/**
 * The configuration of the server that was last started on the data folder; flags win over what that start was told.
 * Throws a `CommandError` that lists every mistake.
 */
export function configOfServer(given: Given): Config {
  const { reached, data } = lastStartOf(given)
  const flags = Object.fromEntries(Object.entries(given.options).filter(([, value]) => value !== undefined))
  return configOf({ ...given, options: { ...reached, ...flags } }, data)
}

/** For commands on a server's data: which database its last start used, with which key, and how long it keeps what. */
export function configOfData(given: Given): Config {
  return configOf(given, lastStartOf(given).data)
}

function lastStartOf(given: Given) {
  const last: Partial<LastStart> = readLastStart(configOf(given).dataFolder) ?? {}
  const { database, 'secret-key': secretKey, blobs, 'gc-grace': grace, 'upload-expiry': expiry, ...reached } = last
  // Without its password, which flags, variables and files may have: those win.
  const data = {
    ...(database && { database }),
    ...(secretKey && { 'secret-key': secretKey }),
    ...(blobs && { blobs }),
    ...(grace && { 'gc-grace': grace }),
    ...(expiry && { 'upload-expiry': expiry }),
  }
  return { reached, data }
}

/** Throws a `CommandError` that lists every mistake. */
export function configOf({ options }: Given, remembered: ConfigSources['remembered'] = {}): Config {
  return load({ flags: options, remembered })
}

/**
 * The configuration of another server than the one of this machine's variables and data folder.
 * names: what its flags are called here, by setting.
 */
export function configOfOther(
  { flags, remembered = {} }: Pick<ConfigSources, 'flags' | 'remembered'>,
  names: Readonly<Record<string, string>>,
): Config {
  const renamed = (mistake: string) =>
    mistake.replace(/^--([a-z-]+):/, (all, name) => (names[name] ? `${names[name]}:` : all))
  return load({ flags, remembered, env: withoutVariables() }, renamed)
}

function load(sources: ConfigSources, renamed = (mistake: string) => mistake): Config {
  try {
    return loadConfig(sources)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const mistakes = error.mistakes.map(renamed)
    const [first, ...more] = mistakes
    if (more.length === 0) throw new CommandError(first ?? '', usageExitCode, { cause: error })
    const list = mistakes.map((mistake) => `  ${mistake}`).join('\n')
    throw new CommandError(`the configuration has ${mistakes.length} mistakes:\n${list}`, usageExitCode, {
      cause: error,
    })
  }
}
