/** The most memory that processes have held: the system keeps it while they live, so it is looked at before they end. */
import { memoryOfGroup } from '../campaigns/program.ts'
import type { Registry, RegistryKind } from './peers/registry.ts'

export interface MostMemory {
  /** MiB, of the largest process. */
  readonly process: number
  /** MiB, the sum of each one's own most. */
  readonly together: number
  /** The case after which the largest process was that large. */
  readonly since: string
}

export class MemoryWatch {
  readonly #most = new Map<RegistryKind, MostMemory>()

  /** One that is not running, or whose processes have died, keeps what was seen before. */
  look({ group, kind }: Registry, after: string): void {
    const processes = group === undefined ? [] : memoryOfGroup(group).map(({ highest }) => highest)
    if (processes.length === 0) return
    const before = this.#most.get(kind) ?? { process: 0, together: 0, since: after }
    const process = Math.max(...processes)
    const together = processes.reduce((sum, highest) => sum + highest, 0)
    this.#most.set(kind, {
      ...(process > before.process ? { process, since: after } : before),
      together: Math.max(before.together, together),
    })
  }

  mostOf(kind: RegistryKind): MostMemory {
    const most = this.#most.get(kind)
    if (most === undefined) throw new Error('nobody has looked')
    return most
  }
}
