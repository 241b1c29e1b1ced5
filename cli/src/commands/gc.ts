import type { CollectionConfig } from '@berth/server/config/config.ts'
import { formatDuration, parseDuration } from '@berth/server/config/duration.ts'
import type { CollectionOptions, Garbage, Reason } from '@berth/server/core/registry/collection/collect.ts'
import { Tally } from '@berth/server/core/registry/collection/tally.ts'
import { type CommandDeclaration, CommandError, type Given, settingOptions, usageExitCode } from '../command.ts'
import { configOfData } from '../config.ts'
import { withCore } from '../core.ts'
import { formatBytes, formatTable } from '../table.ts'

const why: Readonly<Record<Reason, { readonly because: string; readonly limit?: keyof Limits }>> = {
  'abandoned upload': { because: 'no sign of life for', limit: 'uploadExpiryMs' },
  'lost upload': { because: 'bytes of no known upload, untouched for', limit: 'uploadExpiryMs' },
  'referrer of a deleted manifest': { because: 'left by a deletion that was cut short' },
  'untagged manifest': { because: 'no tag, no index and no subject for', limit: 'untaggedMs' },
  'referrer of an untagged manifest': { because: 'goes with its subject' },
  'unused link': { because: 'no manifest of the repository has named the blob for', limit: 'graceMs' },
  'unlinked blob': { because: 'no repository has had it for', limit: 'graceMs' },
}

export const gc: CommandDeclaration = {
  name: 'gc',
  summary: 'Remove what nothing refers to any more, as the server does by itself; it may be running meanwhile.',
  options: [
    { flags: '--dry-run', description: 'only tell what would go, why, and how many bytes that are' },
    {
      flags: '--untagged',
      description: 'also remove manifests without a tag that no index names, and their referrers',
    },
    {
      flags: '--older-than <duration>',
      description: 'with --untagged: for how long they must have been so (default: the grace)',
    },
    {
      flags: '--grace <duration>',
      description: 'how long what has lost its last reference stays (default: --gc-grace of the server)',
    },
    { flags: '--verbose', description: 'every single thing, not only how many' },
    { flags: '--json', description: 'one JSON object a line: each thing with --verbose, then the sums' },
    ...settingOptions(['data', 'database', 'secret-key', 'blobs', 'upload-expiry', 'config']),
  ],
  async run(given) {
    const { 'dry-run': dryRun = false, verbose = false, json = false } = switchesOf(given)
    const config = configOfData(given)
    const limits = limitsOf(given, config.collection)
    const tally = new Tally()
    const failure = await withCore(config, async ({ collector }) => {
      try {
        for await (const garbage of collector.collect({ ...limits, dryRun })) {
          tally.add(garbage)
          if (verbose) for (const one of garbage) console.log(json ? JSON.stringify(one) : lineOf(one))
        }
        return undefined
      } catch (error) {
        if (error instanceof Error && 'syscall' in error) return error
        throw error
      }
    })
    if (json) console.log(JSON.stringify({ dryRun, ...tally.total(), reasons: tally.list() }))
    else console.log(tally.total().entries > 0 ? sumsOf(tally, limits, dryRun) : nothing(dryRun))
    if (failure !== undefined) throw new CommandError(`some bytes could not be removed, and stay: ${failure.message}`)
    return 0
  },
}

type Limits = Pick<CollectionOptions, 'graceMs' | 'uploadExpiryMs' | 'untaggedMs'>

function limitsOf(given: Given, collection: CollectionConfig): Limits {
  const { untagged = false } = switchesOf(given)
  if (given.options['older-than'] !== undefined && !untagged) {
    throw new CommandError('--older-than: needs --untagged too', usageExitCode)
  }
  const graceMs = durationOf(given, 'grace') ?? collection.graceMs
  const untaggedMs = untagged ? (durationOf(given, 'older-than') ?? graceMs) : undefined
  return { graceMs, untaggedMs, uploadExpiryMs: collection.uploadExpiryMs }
}

const nothing = (dryRun: boolean) => (dryRun ? 'Nothing would be removed.' : 'There was nothing to remove.')

function sumsOf(tally: Tally, limits: Limits, dryRun: boolean): string {
  const rows = tally.list().map(({ reason, entries, bytes }) => {
    const { because, limit } = why[reason]
    const ms = limit === undefined ? undefined : limits[limit]
    return [
      reason,
      String(entries),
      formatBytes(bytes),
      ms === undefined ? because : `${because} ${formatDuration(ms)}`,
    ]
  })
  const { entries, bytes } = tally.total()
  const heading = [dryRun ? 'would be removed' : 'removed', 'number', 'bytes', 'because']
  return formatTable([heading, ...rows, ['in all', String(entries), formatBytes(bytes), '']], new Set([1, 2]))
}

function switchesOf({ options }: Given): Partial<Record<'dry-run' | 'untagged' | 'verbose' | 'json', boolean>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value === true))
}

function durationOf({ options }: Given, name: 'grace' | 'older-than'): number | undefined {
  const text = options[name]
  if (text === undefined) return undefined
  const ms = parseDuration(String(text))
  if (ms === undefined)
    throw new CommandError(`--${name}: must be a duration such as 30s, 10m, 24h or 7d`, usageExitCode)
  return ms
}

function lineOf({ reason, name, repository, since, bytes }: Garbage): string {
  const where = repository === undefined ? '' : ` in ${repository}`
  return `${reason}: ${name}${where}, since ${since}${bytes > 0 ? `, ${formatBytes(bytes)}` : ''}`
}
