/** What the load generator in a process of its own can do; `worker.ts` runs one and prints its result. */
import type { PushStyle } from './wire.ts'

interface JobBase {
  readonly port: number
  readonly authorization?: string
  /** No request is begun after that. */
  readonly seconds: number
}

/** Each connection asks for the paths in turn. One operation is one answer. */
export interface AskJob extends JobBase {
  readonly kind: 'ask'
  readonly method: 'GET' | 'HEAD'
  readonly paths: readonly string[]
  readonly connections: number
}

/** Pullers, each as docker pulls: the manifest, then the blobs, some at a time. One operation is one image. */
export interface PullJob extends JobBase {
  readonly kind: 'pull'
  readonly manifest: string
  readonly blobs: readonly string[]
  readonly pullers: number
  readonly connectionsEach: number
}

/** Each pusher pushes images of one layer that nobody has seen before. One operation is one image: layer, config, manifest. */
export interface PushJob extends JobBase {
  readonly kind: 'push'
  readonly repository: string
  readonly layerBytes: number
  readonly style: PushStyle
  /** With `perSecond`, how many connections they have at most. */
  readonly pushers: number
  /** Ends after so many, too. */
  readonly most?: number
  /** So many pushes begin, evenly, whether or not others have ended; their times count from when they were due. */
  readonly perSecond?: number
}

/** As push, but blobs alone, which nothing refers to: what a garbage collection has to find. */
export interface LitterJob extends JobBase {
  readonly kind: 'litter'
  readonly repository: string
  readonly blobs: number
  readonly pushers: number
}

export type Job = AskJob | PullJob | PushJob | LitterJob

export interface JobResult {
  readonly operations: number
  /** From the first request to the last answer. */
  readonly seconds: number
  /** Of bodies, either way. */
  readonly bytes: number
  /** Milliseconds an operation. */
  readonly p50: number
  readonly p99: number
}
