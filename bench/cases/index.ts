/**
 * Every case, in the order in which they run: reads before writes, so that all see the stores as they were filled;
 * starts after everything, since they leave the registries stopped.
 */
import type { Case } from '../case.ts'
import type { MemoryWatch } from '../memory-watch.ts'
import type { Options } from '../options.ts'
import type { LiveData } from '../seed/live.ts'
import { accessCases } from './access.ts'
import { blobCases } from './blobs.ts'
import { gcCases } from './gc.ts'
import { listCases } from './lists.ts'
import { manifestCases } from './manifests.ts'
import { nodeCases } from './nodes.ts'
import { pullCases } from './pulls.ts'
import { pushCases } from './pushes.ts'
import { memoryCases, type Programs, startCases } from './start.ts'

export interface Ingredients {
  readonly options: Options
  readonly data: LiveData
  readonly programs: Programs
  readonly memory: MemoryWatch
}

export const createCases = ({ options, data, programs, memory }: Ingredients): Case[] => [
  ...manifestCases(options),
  ...blobCases(data),
  ...listCases(options),
  ...accessCases(data),
  ...pullCases(data, options),
  ...pushCases(options),
  ...gcCases(options),
  ...nodeCases(options),
  ...startCases(options, programs, memory),
  ...memoryCases(memory),
]
