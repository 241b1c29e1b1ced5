/** The registries of a run: each one's program, its store filled with what the cases need, started and at rest. */
import { join } from 'node:path'
import { atRest } from './at-rest.ts'
import type { Case } from './case.ts'
import type { Programs } from './cases/start.ts'
import type { Options } from './options.ts'
import { berthName } from './peers/berth.ts'
import type { FoundProgram, Registry, RegistryKind } from './peers/registry.ts'
import { formatCount } from './report/numbers.ts'
import { type DataSet, manyReferrers, manyRepositories, manyTags } from './seed/data-sets.ts'
import { type LiveData, pushLiveData } from './seed/live.ts'

export interface Stores extends AsyncDisposable {
  /** The registry to ask; undefined for one that is not part of it. */
  registryFor(question: Case, kind: RegistryKind): Registry | undefined
  readonly all: readonly Registry[]
  /** Who could not be filled or started, and why. */
  readonly failed: ReadonlyMap<RegistryKind, string>
}

export type Say = (line: string) => void

/** Opens, fills and starts what the cases need. Disposal stops it all. Throws when that fails for Berth. */
export async function openStores(
  cases: readonly Case[],
  programs: Programs,
  data: LiveData,
  options: Options,
  say: Say,
): Promise<Stores> {
  const sets = new Set(cases.flatMap(({ needs }) => needs))
  const anyWrites = cases.some(({ writes }) => writes)
  const main = new Map<RegistryKind, Registry>()
  const failed = new Map<RegistryKind, string>()
  let large: Registry | undefined
  const stores: Stores = {
    failed,
    registryFor: ({ largeStore }, kind) => (largeStore && kind.name === berthName ? large : main.get(kind)),
    get all() {
      return [...main.values(), ...(large === undefined ? [] : [large])]
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.all.map((registry) => registry.stop()))
    },
  }

  async function prepare(kind: RegistryKind, program: FoundProgram): Promise<void> {
    const registry = await program.open(join(options.folder, kind.name.replaceAll(/\W+/g, '-')))
    main.set(kind, registry)
    if (kind.filledRunning) await registry.start()
    // A variant for writes has nothing to read.
    if (!kind.writesOnly) await fill(registry, sets, options.entries, smallSets, say)
    if (!kind.filledRunning) await registry.start()
    await settled(registry)
    if (!kind.writesOnly) await pushLiveData(registry, data, sets)
    if (kind.name !== berthName || !cases.some(({ largeStore }) => largeStore)) return
    large = await program.open(join(options.folder, 'berth-large'))
    await fill(large, sets, options.large, largeSets, say)
    await large.start()
  }

  async function settled(...registries: readonly Registry[]): Promise<void> {
    if (!(await atRest(...registries))) say(`not at rest: ${registries.map(({ kind }) => kind.name).join(', ')}`)
  }

  try {
    for (const [kind, program] of programs) {
      if (kind.writesOnly && !anyWrites) continue
      try {
        await prepare(kind, program)
      } catch (error) {
        if (kind.name === berthName) throw error
        await main.get(kind)?.stop()
        main.delete(kind)
        failed.set(kind, `could not be prepared: ${(error as Error).message}`)
        say(`${kind.name} ${failed.get(kind)}`)
      }
    }
    await settled(...stores.all)
    return stores
  } catch (error) {
    await stores[Symbol.asyncDispose]()
    throw error
  }
}

type Written = { readonly tags: DataSet; readonly repositories: DataSet; readonly referrers?: DataSet }
const smallSets: Written = { tags: 'tags', repositories: 'repositories', referrers: 'referrers' }
const largeSets: Written = { tags: 'largeTags', repositories: 'largeRepositories' }

async function fill(
  registry: Registry,
  sets: ReadonlySet<DataSet>,
  count: number,
  names: Written,
  say: Say,
): Promise<void> {
  const timed = async (what: string, work: () => Promise<void>) => {
    const from = performance.now()
    await work()
    say(
      `${registry.kind.name}: ${formatCount(count)} ${what} written in ${((performance.now() - from) / 1000).toFixed(1)} s`,
    )
  }
  if (sets.has(names.tags)) await timed('tags', () => registry.seedManifests(manyTags(count)))
  if (sets.has(names.repositories))
    await timed('repositories', () => registry.seedRepositories(manyRepositories(count)))
  if (names.referrers !== undefined && sets.has(names.referrers)) {
    await timed('referrers', () => registry.seedManifests(manyReferrers(count)))
  }
}
