import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isFault } from '@berth/server/base/fault.ts'
import { formatBlobsUrl } from '@berth/server/config/blobs-url.ts'
import type { Config } from '@berth/server/config/config.ts'
import { usualSecretKey } from '@berth/server/config/load.ts'
import type { Place } from '@berth/server/core/migration/hold.ts'
import type { Moved } from '@berth/server/core/migration/migrate.ts'
import type { Progress } from '@berth/server/core/migration/run.ts'
import type { Kept } from '@berth/server/start/migration.ts'
import { type CommandDeclaration, CommandError, type Given, settingOptions, usageExitCode } from '../command.ts'
import { configOfData, configOfOther } from '../config.ts'
import { MigrationTeller } from '../migration-teller.ts'
import { formatBytes } from '../table.ts'
import { quoted } from '../trust/target.ts'

const exitCodes = { moved: 0, movedDamaged: 3, interrupted: 130 }

export const migrate: CommandDeclaration = {
  name: 'migrate',
  summary: 'Move everything to another database and blob store, while the server runs; docs/migrate.md says how.',
  options: [
    { flags: '--to <file>', description: 'a configuration file of the servers to be: its database, blobs and data' },
    { flags: '--to-database <url>', description: 'in place of --to: the new database, as in --database' },
    {
      flags: '--to-blobs <url>',
      description: 'with --to-database: the new blob store, as in --blobs (default: the old one)',
    },
    {
      flags: '--verify <what>',
      description: 'sizes: each blob must be there with its size (default); full: all are read and hashed once more',
    },
    { flags: '--undo', description: 'let the old place take changes again, as long as the new one was not changed' },
    { flags: '--force', description: 'with --undo: without looking at the new place; what was changed there is lost' },
    ...settingOptions(['data', 'database', 'secret-key', 'blobs', 'config']),
  ],
  async run(given) {
    const { verify = 'sizes', undo, force } = given.options
    if (verify !== 'sizes' && verify !== 'full')
      throw new CommandError('--verify: must be sizes or full', usageExitCode)
    if (force === true && undo !== true) throw new CommandError('--force: needs --undo too', usageExitCode)
    const from = configOfData(given)
    const to = targetOf(given, from)
    if (undo === true) return takeBack(sourceOfUndo(given, from), to, force === true)
    if (to === undefined) throw new CommandError('name the new place with --to or --to-database', usageExitCode)
    return move(from, to, verify, given)
  },
}

/** Undefined where none is named. */
function targetOf({ options }: Given, from: Config): Config | undefined {
  const { to: file, 'to-database': database, 'to-blobs': blobs } = options
  const remembered = { data: from.dataFolder }
  if (file !== undefined) {
    if ((database ?? blobs) !== undefined)
      throw new CommandError('--to: excludes --to-database and --to-blobs; the file names both', usageExitCode)
    return configOfOther({ flags: { config: String(file) }, remembered }, { config: '--to' })
  }
  if (database === undefined) {
    if (blobs !== undefined) throw new CommandError('--to-blobs: needs --to-database too', usageExitCode)
    return undefined
  }
  const old = from.blobs.kind === 's3' || from.blobs.kind === 'azure-blob' ? formatBlobsUrl(from.blobs) : undefined
  const flags = { database, ...((blobs ?? old) && { blobs: blobs ?? old! }), 'secret-key': from.secretKey }
  return configOfOther({ flags, remembered }, { database: '--to-database', blobs: '--to-blobs' })
}

async function move(from: Config, to: Config, verify: 'sizes' | 'full', given: Given): Promise<number> {
  const { moveKept, placeOf } = await import('@berth/server/start/migration.ts')
  const teller = new MigrationTeller(process.stderr)
  const interruption = new AbortController()
  const interrupt = () => {
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted)
    interruption.abort(new Interrupted())
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  try {
    const moved = await moveKept(from, to, {
      verify,
      signal: interruption.signal,
      onProgress: (progress: Progress) => teller.tell(progress),
      onWaiting: (seconds) =>
        teller.say(`Another \`berth migrate\` was here a moment ago; waiting up to ${seconds} s.`),
      onSilence: (name, reason) => teller.say(`Waiting for ${name}: ${reason}`),
    })
    teller.clear()
    const places = { from: placeOf(from), to: placeOf(to) }
    const { database, blobs } = places.to
    if (moved === undefined) console.log(`Everything has moved to ${database} already.`)
    else console.log(summaryOf(moved, `${database} and ${blobs}`))
    for (const line of damageOf(moved)) console.error(`berth: ${line}`)
    console.log(nextSteps(from, to, places, given).join('\n'))
    return damageOf(moved).length > 0 ? exitCodes.movedDamaged : exitCodes.moved
  } catch (error) {
    teller.clear()
    throw commandErrorOf(error, interruption.signal)
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}

async function takeBack(from: Config, to: Config | undefined, lossy: boolean): Promise<number> {
  const { undoKept } = await import('@berth/server/start/migration.ts')
  const kept = (database: string): Kept => ({
    ...from,
    db: database.startsWith('postgres://')
      ? configOfOther({ flags: { database, data: from.dataFolder } }, {}).db
      : { kind: 'sqlite', file: database },
  })
  const undone = await undoKept(from, to, { lossy, kept }).catch((error: unknown) => {
    throw commandErrorOf(error)
  })
  console.log(
    undone
      ? `${from.dataFolder} takes changes again. Stop servers on the new place: they refuse changes until it is moved to once more.`
      : `${from.dataFolder} takes changes; there is nothing to undo.`,
  )
  return 0
}

/** A server that was started on the new place since has left word of that in the folder; what had moved is still beside it. */
function sourceOfUndo({ options }: Given, from: Config): Config {
  const file = join(from.dataFolder, 'berth.db')
  return options.database === undefined && existsSync(file) ? { ...from, db: { kind: 'sqlite', file } } : from
}

class Interrupted extends Error {}

const goesOn = 'What was copied stays: the same command goes on from there.'

function commandErrorOf(error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) {
    const sentence = `interrupted; the server takes changes as ever. ${goesOn}`
    return new CommandError(sentence, exitCodes.interrupted, { cause: error })
  }
  if (isFault(error, 'unavailable')) {
    const { cause, detail } = error
    const why = cause instanceof Error ? ` (${cause.message})` : ''
    return new CommandError(`cut short: ${detail.reason}${why}. ${goesOn}`, 1, { cause: error })
  }
  if (error instanceof Error && error.name === 'MigrationError')
    return new CommandError(error.message, 1, { cause: error })
  return error
}

function summaryOf({ rows, blobBytes, frozenMs }: Moved, where: string): string {
  const count = (table: string, one: string, many: string) => `${rows.get(table)} ${rows.get(table) === 1 ? one : many}`
  const all = [
    `${count('blobs', 'blob', 'blobs')} (${formatBytes(blobBytes)})`,
    count('manifests', 'manifest', 'manifests'),
    count('tags', 'tag', 'tags'),
    count('repositories', 'repository', 'repositories'),
  ].join(', ')
  const seconds = (frozenMs / 1000).toFixed(1)
  return `Everything has moved to ${where}: ${all}; both sides are alike. Changes were refused for ${seconds} s.`
}

function damageOf(moved: Moved | undefined): string[] {
  if (moved === undefined) return []
  const blobs = moved.damagedBlobs.map(({ digest, repository }) => [
    `the bytes of ${digest}`,
    ...(repository === undefined ? [] : [` in ${repository}`]),
    ' are not whole: push it again',
  ])
  const manifests = moved.damagedManifests.map((digest) => [`the manifest ${digest} is not what its digest says`])
  return [...blobs, ...manifests].map((parts) => parts.join(''))
}

function nextSteps(from: Config, to: Config, places: { from: Place; to: Place }, { options }: Given): string[] {
  const isOneKey = to.secretKey === from.secretKey
  const key = isOneKey ? from.secretKey : `cp ${quoted(from.secretKey)} ${quoted(to.secretKey)}`
  return [
    '',
    'Next:',
    '  1. Stop the old servers. They answer reads and refuse changes.',
    `  2. Every new server needs the same secret key: ${key}`,
    `  3. ${options.to === undefined ? startWith(to, places.to) : `berth start --config ${quoted(String(options.to))}`}`,
    '',
    'Uploads that were under way begin anew. Until the new place has taken its first change,',
    `\`berth migrate --undo ${namesOf(from, places.from)}\` gives changes back to the old one.`,
  ]
}

/** What a server that was started on the new place since does not know any more. */
function namesOf({ dataFolder, db }: Config, { database }: Place): string {
  return `--data ${quoted(dataFolder)}${db.kind === 'sqlite' ? '' : ` --database ${quoted(database)}`}`
}

function startWith({ dataFolder, secretKey, db, blobs }: Config, place: Place): string {
  const flags = {
    data: dataFolder,
    ...(db.kind === 'sqlite' ? {} : { database: place.database }),
    ...(blobs.kind === 'filesystem' ? {} : { blobs: place.blobs }),
    ...(secretKey === usualSecretKey(dataFolder) ? {} : { 'secret-key': secretKey }),
  }
  const words = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, quoted(value)])
  const hasPassword = db.kind === 'postgres' && db.password !== undefined
  return ['berth start', ...words].join(' ') + (hasPassword ? '   (with the password in PGPASSWORD or a passfile)' : '')
}
