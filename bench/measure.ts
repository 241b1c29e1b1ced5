/** One case: checked and warmed up on every registry, then measured in rounds, each registry once a round. */
import { processesOfGroup, processorSecondsOf } from '../campaigns/program.ts'
import { atRest } from './at-rest.ts'
import { type Case, type Measurement, NotOffered } from './case.ts'
import type { MemoryWatch } from './memory-watch.ts'
import type { Options } from './options.ts'
import { berthName } from './peers/berth.ts'
import type { Registry, RegistryKind } from './peers/registry.ts'
import { median } from './report/numbers.ts'
import type { Cell } from './result.ts'
import type { Stores } from './stores.ts'

interface Measured extends Measurement {
  readonly processor?: number
}

/** What compiles code while it runs, as Node.js does, is slower in its first seconds. */
const mostWarmUpSeconds = 3

export interface Surroundings {
  readonly kinds: readonly RegistryKind[]
  readonly stores: Stores
  readonly options: Options
  readonly memory: MemoryWatch
}

/** A cell for every registry. Only what is wrong with the harness itself throws. */
export async function measureCase(question: Case, surroundings: Surroundings): Promise<Record<string, Cell>> {
  const { kinds, stores, options, memory } = surroundings
  const cells: Record<string, Cell> = {}
  const running = new Map<string, { readonly registry: Registry; readonly rounds: Measured[] }>()
  for (const kind of kinds) {
    const registry = stores.registryFor(question, kind)
    if (registry === undefined || (kind.writesOnly && !question.writes)) continue
    if (question.berthAlone !== undefined && kind.name !== berthName) {
      cells[kind.name] = { kind: 'unasked', reason: question.berthAlone }
    } else running.set(kind.name, { registry, rounds: [] })
  }

  /** Does it on every registry that has not failed yet, in turn. */
  const onAll = async (work: (registry: Registry, rounds: Measured[]) => Promise<void>): Promise<void> => {
    for (const [name, { registry, rounds }] of running) {
      try {
        await work(registry, rounds)
      } catch (error) {
        running.delete(name)
        cells[name] =
          error instanceof NotOffered
            ? { kind: 'none', reason: error.message }
            : { kind: 'failed', reason: firstLine(error) }
      }
      // What it has left to do must not slow the next one.
      await atRest(registry)
    }
  }

  const base = { options, folder: options.folder, seconds: options.seconds }
  await onAll(async (registry) => question.check?.(registry, options.folder))
  if (!question.once && !question.noWarmUp) {
    const seconds = Math.min(mostWarmUpSeconds, options.seconds)
    await onAll(
      async (registry) => void (await question.measure(registry, { ...base, seconds, warmUp: true, number: -1 })),
    )
  }
  const rounds = question.once ? 1 : options.rounds
  for (let number = 0; number < rounds; number++) {
    await onAll(async (registry, measured) => {
      const before = processorSeconds(registry)
      const measurement = await question.measure(registry, { ...base, warmUp: false, number })
      const { operations } = measurement
      const milliseconds = 1000 * (processorSeconds(registry) - before)
      measured.push({ ...measurement, ...(operations === undefined ? {} : { processor: milliseconds / operations }) })
    })
  }
  for (const [name, { rounds: measured }] of running) cells[name] = cellOf(measured)
  for (const registry of stores.all) memory.look(registry, question.name)
  const inOrder = kinds.filter(({ name }) => name in cells).map(({ name }) => [name, cells[name]!] as const)
  return Object.fromEntries(inOrder)
}

const processorSeconds = ({ group }: Registry): number =>
  group === undefined ? 0 : processorSecondsOf(processesOfGroup(group))

function cellOf(rounds: readonly Measured[]): Cell {
  const medianOf = (field: 'p50' | 'p99' | 'processor') => {
    const values = rounds.map((round) => round[field]).filter((value) => value !== undefined)
    return values.length === 0 ? {} : { [field]: median(values) }
  }
  const note = rounds.at(-1)?.note
  return {
    kind: 'measured',
    value: median(rounds.map(({ value }) => value)),
    ...medianOf('p50'),
    ...medianOf('p99'),
    ...medianOf('processor'),
    rounds: rounds.map(({ value }) => value),
    ...(note === undefined ? {} : { note }),
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.split('\n')[0] ?? text
}
