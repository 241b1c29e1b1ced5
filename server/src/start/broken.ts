/** The end of a server whose disk has not kept its database. */
import type { FlushedLog } from '../base/log.ts'

/** What a process ends with when the disk has failed to keep a commit: the others on the folder must not go on either. */
export const brokenExitCode = 70

/** A start afterwards recovers what is really on the disk; going on would acknowledge what may be lost. */
export function endBroken(log: FlushedLog, error: unknown): never {
  log.error({ err: error }, 'the disk has failed to keep the database; this server ends')
  log.flush()
  process.exit(brokenExitCode)
}
