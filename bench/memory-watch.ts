/** The most memory that processes have held: the system keeps it while they live, so it is looked at before they end. */
import { memoryOfGroup } from '../campaigns/program.ts'
import type { Registry, RegistryKind } from './peers/registry.ts'

export interface MostMemory {
  /** MiB, of the largest process. */
  readonly process: number
  /** MiB, the sum of each one's own most. */
  readonly together: number
}

export class MemoryWatch {
  readonly #most = new Map<RegistryKind, MostMemory>()

  /** One that is not running, or whose processes have died, keeps what was seen before. */
  look({ group, kind }: Registry): void {
    const processes = group === undefined ? [] : memoryOfGroup(group).map(({ highest }) => highest)
    if (processes.length === 0) return
    const before = this.#most.get(kind)
    this.#most.set(kind, {
      process: Math.max(before?.process ?? 0, ...processes),
      together: Math.max(
        before?.together ?? 0,
        processes.reduce((sum, highest) => sum + highest, 0),
      ),
    })
  }

  mostOf(kind: RegistryKind): MostMemory {
    const most = this.#most.get(kind)
    if (most === undefined) throw new Error('nobody has looked')
    return most
  }
}
