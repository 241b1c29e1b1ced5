/** The command line: `berth <command>`. What the commands do is in `commands/`; here they become commander's. */
import { version } from '@berth/server/base/version.ts'
import { Command, CommanderError } from 'commander'
import { type CommandDeclaration, CommandError, usageExitCode } from './command.ts'
import { backup } from './commands/backup.ts'
import { fsck } from './commands/fsck.ts'
import { gc } from './commands/gc.ts'
import { health } from './commands/health.ts'
import { hosts } from './commands/hosts.ts'
import { migrate } from './commands/migrate.ts'
import { password } from './commands/password.ts'
import { registry } from './commands/registry.ts'
import { rotateKeys } from './commands/rotate-keys.ts'
import { start } from './commands/start.ts'
import { token } from './commands/token.ts'
import { trust } from './commands/trust.ts'
import { usage } from './commands/usage.ts'

const commands: readonly CommandDeclaration[] = [
  start,
  trust,
  hosts,
  password,
  token,
  registry,
  usage,
  rotateKeys,
  gc,
  fsck,
  backup,
  migrate,
  health,
]

/** args: without the program's name. Returns the exit code once the command has ended. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode = 0
  const program = new Command('berth')
    .description('An Azure Container Registry that you run yourself.')
    .version(version, '--version', 'print the version')
    .exitOverride()
  for (const declaration of commands) {
    const command = program.command(declaration.name).summary(declaration.summary).description(declaration.summary)
    if (declaration.rest !== undefined) command.argument(declaration.rest)
    for (const { flags, description } of declaration.options) command.option(flags, description)
    command.exitOverride().action(async () => {
      exitCode = await declaration.run({ options: byFlag(command), rest: command.args })
    })
  }
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode
    if (!(error instanceof CommandError)) throw error
    console.error(`berth: ${error.message}`)
    return error.exitCode
  }
  return exitCode
}

/** commander turns `--drain-seconds` into `drainSeconds`; settings are known by the flag. */
function byFlag(command: Command): Record<string, string | boolean | undefined> {
  return Object.fromEntries(
    command.options.map((option) => [option.name(), command.getOptionValue(option.attributeName())]),
  )
}
