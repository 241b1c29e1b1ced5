/** Whether what a run stores has room on the disk. */
import { statfs } from 'node:fs/promises'
import type { Case } from './case.ts'
import type { Options } from './options.ts'
import type { DataSet } from './seed/data-sets.ts'
import { gibibyte } from './seed/live.ts'

const gigabyte = 1e9
/** Small blobs, the files of tools, what is pushed while pulls are measured. */
const always = 2 * gigabyte
/** A tag, a repository and a referrer in all stores, on ext4; in distribution's each is some folders and files. */
const entryBytes = 200_000
const largeEntryBytes = 3_000
/** It is discarded before the next registry has its turn. */
const pushedEachSecond = gigabyte
/** What zb, which counts pushes, leaves meanwhile in a store that keeps a blob once for each repository. */
const pushedByCount = 2 * gigabyte

const entrySets: readonly DataSet[] = ['tags', 'repositories', 'referrers']
const largeSets: readonly DataSet[] = ['largeTags', 'largeRepositories']

/** A cautious guess. registries: how many there are. */
export function neededBytes(
  cases: readonly Case[],
  registries: number,
  { entries, large, seconds, share }: Options,
): number {
  const needs = new Set(cases.flatMap((question) => question.needs))
  const oneOf = (sets: readonly DataSet[]) => sets.some((set) => needs.has(set))
  return (
    always +
    (needs.has('gibibyte') ? registries * gibibyte : 0) +
    (oneOf(entrySets) ? entries * entryBytes : 0) +
    (oneOf(largeSets) ? large * largeEntryBytes : 0) +
    (cases.some(({ writes }) => writes) ? seconds * pushedEachSecond + share * pushedByCount : 0)
  )
}

/** Throws an Error that says what is needed and what is there. */
export async function requireRoom(folder: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= needed) return
  const [wanted, left] = [Math.ceil(needed / gigabyte), Math.floor(free / gigabyte)]
  throw new Error(
    `the run needs ${wanted} GB on the disk of ${folder}, and ${left} GB are free: give --folder another, or use --quick`,
  )
}
