/** What `npm run bench -- …` understands. */
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder, projectFolder } from './folders.ts'

export interface Options {
  /** Matches the names of the cases to run. */
  readonly only: RegExp
  /** Matches the names of the registries to measure. */
  readonly registries: RegExp
  /** Each case is measured so often on each registry, in turn. */
  readonly rounds: number
  /** How long one measurement of a case by time takes. */
  readonly seconds: number
  /** How many tags, repositories and referrers the stores of all registries hold. */
  readonly entries: number
  /** The same for Berth's second, large repository. */
  readonly large: number
  /** What cases that count requests instead of seconds multiply their counts with. */
  readonly share: number
  readonly quick: boolean
  /** The folder that gets a folder for the run's data. */
  readonly folder: string
  /** Where the results go; undefined for nowhere. */
  readonly results: string | undefined
  /** The folder of the Berth to measure: another checkout, to compare two revisions. */
  readonly berth: string
  /** Worker processes of Berth. */
  readonly workers: number
  readonly list: boolean
}

export const help = `npm run bench -- [flags]
  --only <regex>        cases whose name matches; names are those of --list
  --registries <regex>  registries whose name matches, such as 'berth|zot'
  --rounds <number>     measurements of each case and registry, of which the median counts (5)
  --seconds <number>    length of a measurement (5)
  --entries <number>    tags, repositories and referrers in everybody's large stores (10000)
  --large <number>      tags and repositories in Berth's largest (1000000)
  --quick               2 rounds of 1 s, a largest of 100000, fewer pushes: to see that all works, not to compare
  --folder <folder>     where the run keeps its data, on a real disk (.cache/bench)
  --results <folder>    where latest.json and latest.md go, 'none' for nowhere (bench/results; .cache/bench/results with --quick or --only)
  --berth <folder>      measure the Berth of another checkout
  --workers <number>    worker processes of Berth (the cores)
  --list                the names of the cases, and nothing else`

/** Throws a plain Error with a sentence for what it does not understand. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      registries: { type: 'string', default: '' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      entries: { type: 'string', default: '10000' },
      large: { type: 'string' },
      quick: { type: 'boolean', default: false },
      folder: { type: 'string', default: cacheFolder },
      results: { type: 'string' },
      berth: { type: 'string', default: projectFolder },
      workers: { type: 'string', default: String(availableParallelism()) },
      list: { type: 'boolean', default: false },
    },
  })
  const { quick } = values
  // A short or partial run must not replace the results of a whole one.
  const usualResults =
    quick || values.only !== undefined || values.registries !== ''
      ? join(cacheFolder, 'results')
      : join(projectFolder, 'bench', 'results')
  return {
    only: new RegExp(values.only ?? '', 'i'),
    registries: new RegExp(values.registries, 'i'),
    rounds: number('rounds', values.rounds ?? (quick ? '2' : '5'), 1),
    seconds: number('seconds', values.seconds ?? (quick ? '1' : '5'), 0.1),
    entries: number('entries', values.entries, 300),
    large: number('large', values.large ?? (quick ? '100000' : '1000000'), 300),
    share: quick ? 0.1 : 1,
    quick,
    folder: resolve(values.folder),
    results: values.results === 'none' ? undefined : resolve(values.results ?? usualResults),
    berth: resolve(values.berth),
    workers: number('workers', values.workers, 1),
    list: values.list,
  }
}

function number(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!(value >= least)) throw new Error(`--${name} must be a number of at least ${least}`)
  return value
}
