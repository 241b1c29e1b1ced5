/** What a run found: the shape of `latest.json`. */
import type { Wanted } from './case.ts'

export interface RunResult {
  /** ISO, UTC. */
  readonly began: string
  readonly minutes: number
  readonly commit: string
  readonly machine: Machine
  readonly settings: {
    readonly rounds: number
    readonly seconds: number
    readonly entries: number
    readonly large: number
    readonly quick: boolean
    readonly only: string
  }
  readonly registries: readonly RegistryResult[]
  readonly tools: Readonly<Record<string, string>>
  readonly cases: readonly CaseResult[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  /** Device, file system, whether it turns. */
  readonly disk: string
  /** What a sync costs there, measured at the beginning. */
  readonly diskWriteMegabytesPerSecond: number
  readonly diskSyncMilliseconds: number
}

export type RegistryResult =
  | { readonly name: string; readonly version: string; readonly configuration: string; readonly syncs: string }
  | { readonly name: string; readonly missing: string }

export interface CaseResult {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
  readonly cells: Readonly<Record<string, Cell>>
  /** The best of the others; `of` is the case that the figure is from, where it is not this one. */
  readonly best?: { readonly registry: string; readonly value: number; readonly of?: string }
  /** How many times better Berth is than the best of the others. */
  readonly ratio?: number
  readonly wanted: readonly { readonly wanted: Wanted; readonly text: string; readonly reached: boolean | undefined }[]
  readonly note?: string
}

export type Cell =
  | {
      readonly kind: 'measured'
      /** The medians of the rounds. */
      readonly value: number
      readonly p50?: number
      readonly p99?: number
      readonly rounds: readonly number[]
      /** Milliseconds of processor time that one request, push or pull took of the registry's processes: the median. */
      readonly processor?: number
      readonly note?: string
    }
  /** It has no such thing, or a tool does not work with it. */
  | { readonly kind: 'none'; readonly reason: string }
  /** The case is not for it. */
  | { readonly kind: 'unasked'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }
