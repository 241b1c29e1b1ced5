/** A case: one question that every registry is asked in the same way. Groups of them are in `cases/`. */
import type { Options } from './options.ts'
import type { Registry } from './peers/registry.ts'
import type { DataSet } from './seed/data-sets.ts'

export interface Case {
  /** What `--only` matches and the results are kept under: `manifest/tag/small`. */
  readonly name: string
  /** A line for the table. */
  readonly title: string
  readonly unit: Unit
  /** What must be in the stores. */
  readonly needs: readonly DataSet[]
  /** Without it, all; else why the others are not asked. */
  readonly berthAlone?: string
  /** Asked of the store of its own that Berth has for the largest data sets; the others have but one. */
  readonly largeStore?: boolean
  /** A case that changes the stores: measured on variants for writes too, and compared only with registries that are. */
  readonly writes?: boolean
  /** Another case whose figures of the peers stand in for theirs here, since they do not have so much. */
  readonly peersOf?: string
  readonly wanted?: readonly Wanted[]
  /** Measured once instead of `rounds` times, and not warmed up. */
  readonly once?: boolean
  /** For what begins with an empty store each time anyway. */
  readonly noWarmUp?: boolean
  /**
   * Once before the measurements: looks whether the answer is the right one. Throws `NotOffered` when the registry has no
   * such thing, another Error when it answers wrongly.
   */
  check?(registry: Registry, folder: string): Promise<void>
  /** One measurement. warmUp: a short one, whose result nobody looks at. */
  measure(registry: Registry, round: Round): Promise<Measurement>
}

export interface Round {
  readonly options: Options
  readonly seconds: number
  readonly warmUp: boolean
  /** On the disk, for what a tool needs to keep. */
  readonly folder: string
  /** From 0. */
  readonly number: number
}

export interface Unit {
  readonly name: string
  readonly better: 'more' | 'less'
}

export const perSecond = (what: string): Unit => ({ name: `${what}/s`, better: 'more' })
export const megabytesPerSecond: Unit = { name: 'MB/s', better: 'more' }
export const milliseconds: Unit = { name: 'ms', better: 'less' }
export const mebibytes: Unit = { name: 'MiB', better: 'less' }

export interface Measurement {
  /** In the case's unit. */
  readonly value: number
  /** Milliseconds. */
  readonly p50?: number
  readonly p99?: number
  /** How many requests, pushes or pulls it took; with it, what one costs the registry's processes is reckoned. */
  readonly operations?: number
  /** What a reader must know to compare it with the others. */
  readonly note?: string
}

/** What issue 4 asks for. `text` is for the table. */
export type Wanted =
  | { readonly kind: 'ratio'; readonly atLeast: number }
  /** Berth's own figure, in the case's unit. */
  | { readonly kind: 'limit'; readonly bound: 'most' | 'least'; readonly value: number }
  /** Not more than `within` (a share) worse than Berth's figure in another case. */
  | { readonly kind: 'asIn'; readonly case: string; readonly within: number }
  /** Berth's p99 not above that of another case by more than `within` (a share). */
  | { readonly kind: 'p99AsIn'; readonly case: string; readonly within: number }

/** The registry has no such thing, or the tool does not work with it: no failure, and no figure. */
export class NotOffered extends Error {}
