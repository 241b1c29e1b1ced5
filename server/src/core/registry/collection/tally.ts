/** A collection in numbers. */
import { type Garbage, type Reason, reasons } from './step.ts'

export interface Count {
  readonly entries: number
  readonly bytes: number
}

export class Tally {
  readonly #counts = new Map<Reason, Count>()

  add(garbage: readonly Garbage[]): void {
    for (const { reason, bytes } of garbage) {
      const before = this.of(reason)
      this.#counts.set(reason, { entries: before.entries + 1, bytes: before.bytes + bytes })
    }
  }

  of(reason: Reason): Count {
    return this.#counts.get(reason) ?? { entries: 0, bytes: 0 }
  }

  /** The reasons that were met, in the order of the steps. */
  list(): (Count & { readonly reason: Reason })[] {
    return reasons.filter((reason) => this.#counts.has(reason)).map((reason) => ({ reason, ...this.of(reason) }))
  }

  total(): Count {
    const all = this.list()
    return {
      entries: all.reduce((sum, { entries }) => sum + entries, 0),
      bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    }
  }
}
