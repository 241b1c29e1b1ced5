/** The machine whose programs are taught to trust an authority; tests hand in one of their own. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

export interface Machine {
  readonly platform: NodeJS.Platform
  readonly isRoot: boolean
  readonly home: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where an absolute path of the system lies: itself, or below a test's folder. */
  path(absolute: string): string
  has(program: string): boolean
  /** Returns what it printed; throws with that text when it did not end with 0. */
  run(program: string, args: readonly string[]): string
}

export const thisMachine: Machine = {
  platform: process.platform,
  isRoot: process.getuid?.() === 0,
  home: homedir(),
  env: process.env,
  path: (absolute) => absolute,
  has: (program) => (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(join(folder, program))),
  run(program, args) {
    const ended = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000, stdio: ['ignore', 'pipe', 'pipe'] })
    const output = `${ended.stdout ?? ''}${ended.stderr ?? ''}`.trim()
    if (ended.error !== undefined) throw ended.error
    if (ended.status !== 0) throw new Error(output === '' ? `${program} ended with ${ended.status}` : output)
    return output
  },
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false // absent, or not for us: the same for the caller
  }
}
