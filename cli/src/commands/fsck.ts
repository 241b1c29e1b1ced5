import type { Core } from '@berth/server/app.ts'
import { Fault } from '@berth/server/base/fault.ts'
import type { CheckOptions, Finding, Progress } from '@berth/server/core/registry/integrity/check.ts'
import { kindOf } from '@berth/server/core/registry/integrity/kinds.ts'
import { type CommandDeclaration, CommandError, settingOptions } from '../command.ts'
import { configOfData } from '../config.ts'
import { withCore } from '../core.ts'
import { formatBytes } from '../table.ts'
import { Ticker } from '../ticker.ts'

/** As fsck(8) has them. */
const exitCodes = { clean: 0, repaired: 1, left: 4, notRun: 8 }

export const fsck: CommandDeclaration = {
  name: 'fsck',
  summary: 'Look whether everything that is stored is what was pushed; the server may be running meanwhile.',
  options: [
    { flags: '--repair', description: 'put right what can be; docs/fsck.md says how' },
    { flags: '--accept-loss', description: 'go on where the store is empty: what it had is lost' },
    {
      flags: '--quick',
      description: 'look only whether bytes are there and how many, in place of reading all of them',
    },
    { flags: '--json', description: 'one JSON object a line: each finding, then the sums' },
    ...settingOptions(['data', 'database', 'secret-key', 'blobs', 'upload-expiry', 'config']),
  ],
  async run(given) {
    const { repair, quick, json, acceptLoss } = given.options
    const config = configOfData(given)
    const options = {
      repair: repair === true,
      quick: quick === true,
      acceptLoss: acceptLoss === true,
      uploadExpiryMs: config.collection.uploadExpiryMs,
    }
    const sums = await telling(() =>
      withCore(config, (core) => check(core, options, json === true ? JSON.stringify : lineOf)),
    )
    console.log(json === true ? JSON.stringify(sums) : sentenceOf(sums))
    if (sums.left > 0) return exitCodes.left
    return sums.repaired > 0 ? exitCodes.repaired : exitCodes.clean
  },
}

interface Sums {
  /** What was looked at, by kind of thing. */
  readonly looked: Readonly<Record<string, number>>
  /** Stored bytes that were read. */
  readonly bytes: number
  readonly problems: number
  readonly repaired: number
  readonly left: number
  readonly notes: number
}

async function check({ integrity }: Core, options: CheckOptions, format: (finding: Finding) => string): Promise<Sums> {
  const ticker = new Ticker(process.stderr)
  const progress = new Map<string, Progress>()
  let [repaired, left, notes] = [0, 0, 0]
  const onProgress = (now: Progress) => {
    progress.set(now.things, now)
    ticker.show(`${now.things}: ${now.looked}${now.bytes > 0 ? `, ${formatBytes(now.bytes)}` : ''}`)
  }
  try {
    for await (const finding of integrity.check({ ...options, onProgress })) {
      if (kindOf(finding.kind).severity === 'note') notes += 1
      else if (finding.outcome === 'repaired') repaired += 1
      else left += 1
      ticker.clear()
      console.log(format(finding))
    }
  } finally {
    ticker.clear()
  }
  const all = [...progress.values()]
  return {
    looked: Object.fromEntries(all.map(({ things, looked }) => [things, looked])),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    problems: repaired + left,
    repaired,
    left,
    notes,
  }
}

/** `damaged blob sha256:… in berth/app (the bytes are …): what it means; --repair …` */
function lineOf({ kind, name, where, elsewhere, detail, bytes, outcome, done }: Finding): string {
  const { severity, meaning, repair } = kindOf(kind)
  const places = [...where.filter((place) => place !== name), ...(elsewhere > 0 ? [`${elsewhere} more`] : [])]
  const facts = [detail, bytes > 0 ? formatBytes(bytes) : ''].filter((fact) => fact !== '')
  const what = [
    severity === 'note' ? 'note: ' : '',
    `${kind} ${name}`,
    places.length > 0 ? ` in ${places.join(', ')}` : '',
    facts.length > 0 ? ` (${facts.join('; ')})` : '',
  ].join('')
  if (outcome === 'repaired') return `${what}: repaired: ${done}`
  if (outcome === 'left') return `${what}: ${meaning}; not repaired${done === undefined ? '' : `: ${done}`}`
  return repair === undefined ? `${what}: ${meaning}` : `${what}: ${meaning}; --repair ${repair}`
}

function sentenceOf({ looked, bytes, problems, repaired, left, notes }: Sums): string {
  const seen = [
    counted(looked.blobs, 'blob', 'blobs'),
    counted(looked.manifests, 'manifest', 'manifests'),
    counted(looked.tags, 'tag', 'tags'),
    counted(looked.repositories, 'repository', 'repositories'),
  ]
  const read = `Looked at ${seen.join(', ')} and read ${formatBytes(bytes)}`
  const said = notes === 0 ? '' : ` ${counted(notes, 'note', 'notes')} above.`
  if (problems === 0) return `${read}: no problems.${said}`
  return `${read}: ${counted(problems, 'problem', 'problems')}, ${repaired} repaired, ${left} left.${said}`
}

const counted = (number = 0, one: string, many: string) => `${number} ${number === 1 ? one : many}`

/** Whatever keeps the check from its end must not look like one of its results. */
async function telling<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw new CommandError(sentenceOfError(error), exitCodes.notRun, { cause: error })
  }
}

function sentenceOfError(error: unknown): string {
  if (error instanceof CommandError) return error.message
  if (error instanceof Fault && error.code === 'unavailable') {
    return `the check was cut short: ${(error as Fault<'unavailable'>).detail.reason}`
  }
  return `the check was cut short: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
}
