/** The data behind a server, for commands on the same machine; it may be running meanwhile. */
import { existsSync } from 'node:fs'
import type { Core } from '@berth/server/app.ts'
import type { Config } from '@berth/server/config/config.ts'
import { CommandError } from './command.ts'

/** Throws a `CommandError` where no server has ever been started. */
export async function withCore<T>(config: Config, work: (core: Core) => Promise<T>): Promise<T> {
  if (!existsSync(config.db.file)) {
    throw new CommandError(`${config.dataFolder} is not the data folder of a server; name it with --data`)
  }
  const { createCore } = await import('@berth/server/app.ts')
  const { keysOf } = await import('@berth/server/start/prepare.ts')
  const core = await createCore(config, await keysOf(config))
  try {
    return await work(core)
  } finally {
    await core.dispose()
  }
}

export function unknownRegistry(name: string): CommandError {
  return new CommandError(`there is no registry named ${name}; \`berth registry\` lists them`)
}
