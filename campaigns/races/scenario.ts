/** What is set against what. */
import type { Stage } from './stage.ts'

/** Prepares its repositories, and gives back the race, which judges itself. */
export interface Scenario {
  readonly title: string
  prepare(stage: Stage): Promise<() => Promise<void>>
}

/** Of a blob: what garbage collection was quicker to take is gone as well. */
export function expectDeleted({ collecting, wrong }: Stage, status: number): void {
  if (status !== 202 && !(collecting && status === 404)) wrong(`the deletion of a blob was answered ${status}`)
}
