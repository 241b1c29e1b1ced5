import { resolve } from 'node:path'
import type { BackupReport } from '@berth/server/backup/backup.ts'
import { isFault } from '@berth/server/base/fault.ts'
import { type CommandDeclaration, CommandError, settingOptions, usageExitCode } from '../command.ts'
import { configOfData } from '../config.ts'
import { formatBytes } from '../table.ts'
import { Ticker } from '../ticker.ts'

export const backup: CommandDeclaration = {
  name: 'backup',
  summary: 'Copy the data folder of a server, which may be running, into another folder; later runs add what is new.',
  rest: '[folder]',
  options: [
    { flags: '--verify', description: 'also read what was copied before, and copy again what is damaged' },
    {
      flags: '--without-secrets',
      description: 'leave out the secret key, bootstrap.json and the local certificates; a restore needs the key',
    },
    ...settingOptions(['data', 'database', 'secret-key', 'blobs', 'config']),
  ],
  async run(given) {
    const [folder, ...more] = given.rest
    if (folder === undefined || more.length > 0) throw new CommandError('name one folder for the backup', usageExitCode)
    const config = configOfData(given)
    const { BackupError, backUp } = await import('@berth/server/backup/backup.ts')
    const ticker = new Ticker(process.stderr)
    try {
      const report = await backUp({
        config,
        folder: resolve(folder),
        verify: given.options.verify === true,
        withSecrets: given.options['without-secrets'] !== true,
        onProgress: ({ seenBytes, bytes }) => ticker.show(`${formatBytes(seenBytes)} of ${formatBytes(bytes)}`),
      })
      ticker.clear()
      for (const sentence of report.elsewhere) console.error(`berth: ${sentence}`)
      for (const { digest, trouble } of report.troubles) console.error(`berth: ${digest} is ${trouble}`)
      console.log(sentenceOf(report, folder))
      return report.troubles.length > 0 ? 1 : 0
    } catch (error) {
      ticker.clear()
      const reason = error instanceof BackupError ? error.message : reasonOfSystem(error)
      throw reason === undefined ? error : new CommandError(reason, 1, { cause: error })
    }
  },
}

/** Folders that may not be written, disks that are full: nobody's bug. */
function reasonOfSystem(error: unknown): string | undefined {
  if (isFault(error, 'unavailable')) return error.detail.reason
  return error instanceof Error && 'syscall' in error ? error.message : undefined
}

function sentenceOf({ takenAt, counts, troubles, removed }: BackupReport, folder: string): string {
  const { blobs, bytes, copied, copiedBytes } = counts
  const all = `${blobs} blobs (${formatBytes(bytes)})`
  const changes = `${copied} new (${formatBytes(copiedBytes)}), ${removed} removed`
  const what = `${folder} is the server as of ${takenAt}: ${all}, ${changes}.`
  return troubles.length === 0 ? what : `${what} ${troubles.length} could not be copied; \`berth fsck\` tells more.`
}
