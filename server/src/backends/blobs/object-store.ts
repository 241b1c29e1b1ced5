/**
 * What Berth asks of a service that keeps objects by key (S3, Azure Blob Storage), in few calls. Each may be repeated
 * without harm, so that `object-retries.ts` can do so for every driver. Keys are ours: letters, digits and slashes.
 */
import type { Readable } from 'node:stream'
import type { ByteRange } from './blob-store.ts'

export interface ObjectLimits {
  /** Bytes of the parts that are uploaded; as much is held in memory for each. */
  readonly partBytes: number
  /** No part but the last one may have fewer bytes. */
  readonly minPartBytes: number
  /** The most that one call copies. */
  readonly maxCopyBytes: number
  /** Of one object. */
  readonly maxParts: number
}

export interface ObjectEntry {
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** Milliseconds since the epoch, by the store's clock. */
  readonly modifiedAt: number
}

export interface Page<Entry> {
  readonly entries: readonly Entry[]
  /** Where the next page begins; absent after the last one. */
  readonly next?: string | undefined
}

/** An object that is being made of parts; nobody sees it before it is completed. */
export interface Multipart {
  readonly key: string
  readonly id: string
}

export interface UnfinishedObject extends Multipart {
  readonly begunAt: number
}

export interface ObjectBody {
  /** Bytes in this answer: of the range, or of the whole object. */
  readonly size: number
  readonly bytes: Readable
}

/** signal: ends the call, and with it the connection. Every call throws `ObjectStoreError`. */
export interface ObjectStore {
  readonly limits: ObjectLimits
  /** Makes or replaces an object. sha256: of the bytes in hexadecimal digits, where the caller knows it. */
  put(key: string, bytes: Uint8Array, sha256: string | undefined, signal: AbortSignal): Promise<void>
  /** Undefined when there is no such object. A range that reaches beyond the end is cut. */
  get(key: string, range: ByteRange | undefined, signal: AbortSignal): Promise<ObjectBody | undefined>
  stat(key: string, signal: AbortSignal): Promise<{ readonly size: number } | undefined>
  /** An object that is not there is fine. */
  delete(key: string, signal: AbortSignal): Promise<void>
  /** Ascending by key. after: skips keys up to this one; page: what the page before said. */
  list(prefix: string, from: { after?: string; page?: string }, signal: AbortSignal): Promise<Page<ObjectEntry>>
  /** Within the store, at most `maxCopyBytes`. */
  copy(source: string, target: string, signal: AbortSignal): Promise<void>
  begin(key: string, signal: AbortSignal): Promise<Multipart>
  /** number: from 1. Returns what `complete` wants to know of the part. */
  putPart(multipart: Multipart, number: number, bytes: Uint8Array, signal: AbortSignal): Promise<string>
  copyPart(multipart: Multipart, number: number, source: string, range: ByteRange, signal: AbortSignal): Promise<string>
  /** Throws `lost` when the parts are not there (any more), also because they were completed already. */
  complete(multipart: Multipart, parts: readonly string[], signal: AbortSignal): Promise<void>
  /** Drops the parts; ones that are not there are fine. */
  abandon(multipart: Multipart, signal: AbortSignal): Promise<void>
  /** Empty where the store drops unfinished objects by itself. */
  listUnfinished(prefix: string, page: string | undefined, signal: AbortSignal): Promise<Page<UnfinishedObject>>
  /** An address that hands the object to whoever knows it, for so long. */
  link(key: string, ttlSeconds: number): Promise<URL>
  dispose(): void
}

export type ObjectTrouble =
  /** It does not answer, or says that it cannot just now: worth another try. */
  | 'unreachable'
  /** Our credentials are missing, wrong or do not reach far enough. */
  | 'denied'
  | 'full'
  /** The bucket, the container or the source of a copy is not there. */
  | 'missing'
  /** The parts of an unfinished object are gone. */
  | 'lost'
  /** A range that begins behind the end. */
  | 'outside'
  | 'other'

/**
 * Built anew from what the service said: errors of the SDKs carry requests with their signatures, and must reach no log.
 */
export class ObjectStoreError extends Error {
  override readonly name = 'ObjectStoreError'
  readonly trouble: ObjectTrouble

  constructor(trouble: ObjectTrouble, message: string) {
    super(message)
    this.trouble = trouble
  }
}

const networkCodes = new Set<unknown>([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN'],
  ...['ENOTFOUND', 'EAI_AGAIN', 'ERR_STREAM_PREMATURE_CLOSE', 'UND_ERR_SOCKET'],
])

/** The code of an error that says that a connection was not made or did not last; looks at its causes too. */
export function networkTrouble(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof AggregateError && at.errors.length > 0) return networkTrouble(at.errors[0])
    if ('code' in at && networkCodes.has(at.code)) return String(at.code)
    if (at.name === 'TimeoutError' || at.name === 'AbortError') return 'no answer in time'
  }
  return undefined
}

/** What a status means where the service's own code says nothing more. */
export function troubleOf(status: number): ObjectTrouble {
  if (status === 401 || status === 403) return 'denied'
  if (status === 404) return 'missing'
  if (status === 416) return 'outside'
  if (status === 507) return 'full'
  return status === 408 || status === 429 || status >= 500 ? 'unreachable' : 'other'
}

export interface Telling {
  /** What an SDK answers; what it throws, in our words. */
  told<T>(operation: string, answer: Promise<T>): Promise<T>
  /** As `told`, but undefined where what was asked for is not there. */
  orMissing<T>(operation: string, answer: Promise<T>): Promise<T | undefined>
}

/** errorOf: the store's errors in our words. isMissing: whether one of these says that the object, and nothing more, is not there. */
export function createTelling(
  errorOf: (operation: string, error: unknown) => Error,
  isMissing: (error: ObjectStoreError) => boolean,
): Telling {
  async function told<T>(operation: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw errorOf(operation, error)
    }
  }
  return {
    told,
    async orMissing(operation, answer) {
      try {
        return await told(operation, answer)
      } catch (error) {
        if (error instanceof ObjectStoreError && isMissing(error)) return undefined
        throw error
      }
    },
  }
}
