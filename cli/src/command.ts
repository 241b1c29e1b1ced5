/** What a command is: a declaration, from which the help is made, and a function. One file each in `commands/`. */

import type { SettingName } from '@berth/server/config/env.ts'
import { settings } from '@berth/server/config/settings.ts'

export interface CommandOption {
  /** As commander spells it: `--apply`, `--registry <name>`. */
  readonly flags: string
  readonly description: string
}

export interface CommandDeclaration {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** `[names...]` and the like; they reach `run` as `rest`. */
  readonly rest?: string
  readonly options: readonly CommandOption[]
  /** Returns the exit code. Loads what it needs itself, so that `berth --help` stays quick. */
  run(given: Given): Promise<number>
}

export interface Given {
  /** By the flag's long name without dashes: `drain-seconds`. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>
  readonly rest: readonly string[]
}

/** Something that the person at the terminal can act on: printed as it is, without a stack trace. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}

/** The exit code for a wrong command line or configuration. */
export const usageExitCode = 2

/** The flags of settings. */
export function settingOptions(names: readonly SettingName[]): CommandOption[] {
  return names.map((name) => {
    const { argument, description, defaultText } = settings[name]
    return { flags: `--${name} ${argument}`, description: `${description} (default: ${defaultText})` }
  })
}
