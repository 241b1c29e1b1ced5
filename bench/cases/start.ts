/** From the start of the program to its first right answer, and the memory that it has taken by the end. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Case, mebibytes, milliseconds } from '../case.ts'
import type { MemoryWatch } from '../memory-watch.ts'
import type { Options } from '../options.ts'
import type { FoundProgram, Registry, RegistryKind } from '../peers/registry.ts'
import { formatCount } from '../report/numbers.ts'
import { repositories, tagAt } from '../seed/data-sets.ts'
import { askOnce } from './requests.ts'

export type Programs = ReadonlyMap<RegistryKind, FoundProgram>

const access = { repositories: [repositories.tags] }

export function startCases({ entries, large }: Options, programs: Programs, memory: MemoryWatch): Case[] {
  return [
    {
      name: 'start/empty',
      title: 'start on an empty folder, to the first answer',
      unit: milliseconds,
      needs: [],
      async measure(registry, { folder, number }) {
        const program = programs.get(registry.kind)
        if (program === undefined) throw new Error('its program is gone')
        const own = join(folder, `empty-${registry.kind.name}-${number}`)
        const fresh = await program.open(own)
        try {
          return { value: await timeOf(() => fresh.start()) }
        } finally {
          await fresh.stop()
          await rm(own, { recursive: true, force: true })
        }
      },
    },
    {
      name: 'start/large',
      title: `start on ${formatCount(large)} tags and repositories, to the first manifest (peers: ${formatCount(entries)})`,
      unit: milliseconds,
      needs: ['tags', 'repositories', 'largeTags', 'largeRepositories'],
      largeStore: true,
      wanted: [{ kind: 'limit', bound: 'most', value: 2000 }],
      // They are left stopped: what one does in the background after a start must not slow the start of the next.
      async measure(registry) {
        memory.look(registry, 'start/large')
        await registry.stop()
        const value = await timeOf(() => startAndRead(registry))
        memory.look(registry, 'start/large')
        await registry.stop()
        return { value }
      },
    },
  ]
}

export function memoryCases(memory: MemoryWatch): Case[] {
  return [
    {
      name: 'memory/process',
      title: 'most memory of one process, through all of the above',
      unit: mebibytes,
      needs: [],
      once: true,
      wanted: [{ kind: 'limit', bound: 'most', value: 200 }],
      async measure(registry) {
        const { process, since } = memory.mostOf(registry.kind)
        return { value: process, note: `since ${since}` }
      },
    },
    {
      name: 'memory/together',
      title: 'most memory of all its processes together',
      unit: mebibytes,
      needs: [],
      once: true,
      measure: async (registry) => ({ value: memory.mostOf(registry.kind).together }),
    },
  ]
}

async function startAndRead(registry: Registry): Promise<void> {
  await registry.start()
  const { status } = await askOnce(registry, `/v2/${repositories.tags}/manifests/${tagAt(7)}`, access)
  if (status !== 200) throw new Error(`the first manifest is answered ${status}`)
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await work()
  return performance.now() - from
}
