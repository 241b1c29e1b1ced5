/** What the first process and its workers say to each other. */
import type { Config } from '../config/config.ts'

export type FromWorker =
  | { readonly kind: 'listening' }
  /** The worker could not start; the sentence is for the operator. */
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'metrics-wanted'; readonly id: number }

export type ToWorker =
  /** ticketKeys: base64; lets each worker resume the TLS sessions of the others. New with every start. */
  | { readonly kind: 'serve'; readonly config: Config; readonly ticketKeys: string }
  | { readonly kind: 'drain' }
  | { readonly kind: 'metrics'; readonly id: number; readonly contentType: string; readonly text: string }
  /** The workers' metrics could not be had. */
  | { readonly kind: 'no-metrics'; readonly id: number }
