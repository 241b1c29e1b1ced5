/** The data behind a server, for commands on the same machine; it may be running meanwhile. */
import type { Core } from '@berth/server/app.ts'
import { noDataFolder } from '@berth/server/base/data-folder.ts'
import { isFault } from '@berth/server/base/fault.ts'
import type { Config } from '@berth/server/config/config.ts'
import { CommandError } from './command.ts'

/** Throws a `CommandError` where no server has ever been started, or its data cannot be read. */
export async function withCore<T>(config: Config, work: (core: Core) => Promise<T>): Promise<T> {
  const reason = config.db.kind === 'sqlite' ? noDataFolder(config.dataFolder, config.db.file) : undefined
  if (reason !== undefined) throw new CommandError(reason)
  const { createCore } = await import('@berth/server/app.ts')
  const { keysOf } = await import('@berth/server/start/prepare.ts')
  const keys = await keysOf(config).catch((error: Error) => {
    throw new CommandError(error.message, 1, { cause: error })
  })
  const core = await createCore(config, keys).catch((error: unknown) => {
    // A database on another machine may be missing for reasons that are nobody's bug.
    if (config.db.kind === 'sqlite' || !(error instanceof Error)) throw error
    throw new CommandError(error.message, 1, { cause: error })
  })
  try {
    return await work(core)
  } catch (error) {
    if (isFault(error, 'unavailable')) throw new CommandError(error.detail.reason, 1, { cause: error })
    throw error
  } finally {
    await core.dispose()
  }
}

export function unknownRegistry(name: string): CommandError {
  return new CommandError(`there is no registry named ${name}; \`berth registry\` lists them`)
}
