/** Whether a blob store can be used, found out by using it, before a server says that it is ready. */
import { setTimeout as pause } from 'node:timers/promises'
import { Fault } from '../../base/fault.ts'
import type { BlobStore } from './blob-store.ts'
import { ObjectStoreError, type ObjectTrouble } from './object-store.ts'

export interface StoreCheckOptions {
  /** As in `--blobs`, for the sentence. */
  readonly name: string
  /** How long a store that does not answer is waited for. */
  readonly patienceMs: number
  /** Called every few seconds meanwhile, with what is the matter. */
  readonly onWaiting: (reason: string) => void
}

const betweenMs = 1_000

/** Begins a session and drops it. Throws an error whose message is one sentence for the operator. */
export async function checkBlobStore(store: BlobStore, options: StoreCheckOptions): Promise<void> {
  const deadline = performance.now() + options.patienceMs
  for (;;) {
    try {
      return await store.abort(await store.begin())
    } catch (error) {
      const known = error instanceof Fault ? error.cause : error
      if (!(known instanceof ObjectStoreError)) throw unusable(options.name, error)
      if (known.trouble !== 'unreachable' || performance.now() > deadline) {
        throw new Error(`${sentences[known.trouble](options.name)} (${known.message})`, { cause: known })
      }
      options.onWaiting(known.message)
      await pause(betweenMs)
    }
  }
}

/** What an SDK says before it asks anybody, such as that it knows no region. A bug keeps its stack trace. */
function unusable(name: string, error: unknown): unknown {
  const isBug = !(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError
  return isBug ? error : new Error(`${sentences.other(name)} (${error.message})`, { cause: error })
}

const sentences: Readonly<Record<ObjectTrouble, (name: string) => string>> = {
  unreachable: (name) => `${name} does not answer`,
  denied: (name) => `${name} may not be read and written with the credentials that were found`,
  full: (name) => `${name} is full`,
  missing: (name) => `${name} names a bucket or container that does not exist; Berth does not make it`,
  lost: (name) => `${name} cannot be used`,
  outside: (name) => `${name} cannot be used`,
  other: (name) => `${name} cannot be used`,
}
