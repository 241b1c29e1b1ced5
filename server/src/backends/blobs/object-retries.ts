/** Patience with an object store, the same for every driver: time limits, further tries, and one fault when all is in vain. */
import { setTimeout as pause } from 'node:timers/promises'
import { Fault } from '../../base/fault.ts'
import type { ByteRange } from './blob-store.ts'
import {
  type Multipart,
  type ObjectBody,
  type ObjectEntry,
  type ObjectLimits,
  type ObjectStore,
  ObjectStoreError,
  type ObjectTrouble,
  type Page,
  type UnfinishedObject,
} from './object-store.ts'

export interface RetryPolicy {
  /** Of one try, for calls that move few bytes, for those that carry a part, and for those that copy within the store. */
  readonly smallMs: number
  readonly partMs: number
  readonly copyMs: number
  /** After the first failure; four times as long after each further one. */
  readonly pauseMs: number
  readonly tries: number
  /** No further try begins after that. */
  readonly totalMs: number
}

export const patient: RetryPolicy = {
  smallMs: 8_000,
  partMs: 60_000,
  copyMs: 120_000,
  pauseMs: 100,
  tries: 4,
  totalMs: 15_000,
}

/** One try of one call, when it is over. */
export interface StoreCall {
  readonly call: keyof ObjectStore
  readonly outcome: 'ok' | ObjectTrouble
  readonly seconds: number
}

/** How long clients should wait before they come again. */
const retryAfterSeconds = 10

/**
 * `ObjectStore` with time limits and further tries. Fault: `unavailable` when the store does not answer, refuses us or is
 * full; other troubles stay `ObjectStoreError`.
 */
export class RetryingObjects {
  readonly #objects: ObjectStore
  readonly #policy: RetryPolicy
  readonly #observe: (call: StoreCall) => void

  constructor(objects: ObjectStore, policy: RetryPolicy, observe: (call: StoreCall) => void = () => undefined) {
    this.#objects = objects
    this.#policy = policy
    this.#observe = observe
  }

  get limits(): ObjectLimits {
    return this.#objects.limits
  }

  put(key: string, bytes: Uint8Array, sha256?: string): Promise<void> {
    return this.#call('put', 'partMs', (signal) => this.#objects.put(key, bytes, sha256, signal))
  }

  get(key: string, range?: ByteRange): Promise<ObjectBody | undefined> {
    return this.#call('get', 'smallMs', (signal) => this.#objects.get(key, range, signal))
  }

  stat(key: string): Promise<{ readonly size: number } | undefined> {
    return this.#call('stat', 'smallMs', (signal) => this.#objects.stat(key, signal))
  }

  delete(key: string): Promise<void> {
    return this.#call('delete', 'smallMs', (signal) => this.#objects.delete(key, signal))
  }

  list(prefix: string, after?: string): AsyncIterable<ObjectEntry> {
    const from = after === undefined ? {} : { after }
    return this.#pages((page) =>
      this.#call('list', 'smallMs', (signal) =>
        this.#objects.list(prefix, page === undefined ? from : { ...from, page }, signal),
      ),
    )
  }

  copy(source: string, target: string): Promise<void> {
    return this.#call('copy', 'copyMs', (signal) => this.#objects.copy(source, target, signal))
  }

  begin(key: string): Promise<Multipart> {
    return this.#call('begin', 'smallMs', (signal) => this.#objects.begin(key, signal))
  }

  putPart(multipart: Multipart, number: number, bytes: Uint8Array): Promise<string> {
    return this.#call('putPart', 'partMs', (signal) => this.#objects.putPart(multipart, number, bytes, signal))
  }

  copyPart(multipart: Multipart, number: number, source: string, range: ByteRange): Promise<string> {
    return this.#call('copyPart', 'copyMs', (signal) =>
      this.#objects.copyPart(multipart, number, source, range, signal),
    )
  }

  /**
   * size: of all parts together. Where the parts are gone but the object is there, an earlier try got through without our
   * hearing of it, or somebody else completed the same bytes.
   */
  async complete(multipart: Multipart, parts: readonly string[], size: number): Promise<void> {
    try {
      await this.#call('complete', 'copyMs', (signal) => this.#objects.complete(multipart, parts, signal))
    } catch (error) {
      const lost = error instanceof ObjectStoreError && error.trouble === 'lost'
      if (!lost || (await this.stat(multipart.key))?.size !== size) throw error
    }
  }

  abandon(multipart: Multipart): Promise<void> {
    return this.#call('abandon', 'smallMs', (signal) => this.#objects.abandon(multipart, signal))
  }

  listUnfinished(prefix: string): AsyncIterable<UnfinishedObject> {
    return this.#pages((page) =>
      this.#call('listUnfinished', 'smallMs', (signal) => this.#objects.listUnfinished(prefix, page, signal)),
    )
  }

  link(key: string, ttlSeconds: number): Promise<URL> {
    return this.#call('link', 'smallMs', () => this.#objects.link(key, ttlSeconds))
  }

  dispose(): void {
    this.#objects.dispose()
  }

  async *#pages<Entry>(read: (page: string | undefined) => Promise<Page<Entry>>): AsyncIterable<Entry> {
    let next: string | undefined
    do {
      const page = await read(next)
      yield* page.entries
      next = page.next
    } while (next !== undefined)
  }

  async #call<T>(
    call: keyof ObjectStore,
    limit: 'smallMs' | 'partMs' | 'copyMs',
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { [limit]: timeoutMs, pauseMs, tries, totalMs } = this.#policy
    const began = performance.now()
    for (let tried = 1; ; tried++) {
      const startedMs = performance.now()
      const tell = (outcome: StoreCall['outcome']) =>
        this.#observe({ call, outcome, seconds: (performance.now() - startedMs) / 1_000 })
      try {
        const result = await withinTime(timeoutMs, work)
        tell('ok')
        return result
      } catch (error) {
        if (!(error instanceof ObjectStoreError)) throw error
        tell(error.trouble)
        if (error.trouble === 'denied') throw unavailable('the object store refuses access', error)
        if (error.trouble === 'full') throw unavailable('the object store is full', error)
        if (error.trouble !== 'unreachable') throw error
        const waitMs = pauseMs * 4 ** (tried - 1) * (0.5 + Math.random())
        const late = performance.now() - began + waitMs > totalMs
        if (tried === tries || late) throw unavailable('the object store does not answer', error)
        await pause(waitMs)
      }
    }
  }
}

function unavailable(reason: string, cause: ObjectStoreError): Fault<'unavailable'> {
  return new Fault('unavailable', { retryAfterSeconds, reason }, { cause })
}

/** Also where the work does not heed its signal. */
async function withinTime<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    reject(new ObjectStoreError('unreachable', `no answer within ${timeoutMs / 1000} s`))
    abort.abort()
  }, timeoutMs)
  try {
    return await Promise.race([work(abort.signal), late])
  } finally {
    clearTimeout(timer)
  }
}
