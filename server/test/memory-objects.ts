/** An object store in memory, as strict as the real ones about what they forbid, for tests of what is built on it. */
import { Readable } from 'node:stream'
import type { ByteRange } from '../src/backends/blobs/blob-store.ts'
import {
  type Multipart,
  type ObjectBody,
  type ObjectEntry,
  type ObjectLimits,
  type ObjectStore,
  ObjectStoreError,
  type Page,
  type UnfinishedObject,
} from '../src/backends/blobs/object-store.ts'

type Call = Exclude<keyof ObjectStore, 'limits' | 'dispose'>

interface Upload {
  readonly key: string
  readonly begunAt: number
  readonly parts: Map<number, Uint8Array>
}

/** Small enough that a few hundred bytes are many parts. */
const tinyLimits: ObjectLimits = { partBytes: 64, minPartBytes: 32, maxCopyBytes: 100, maxParts: 8 }

export class MemoryObjects implements ObjectStore {
  readonly limits: ObjectLimits
  /** What was asked, in order: `put uploads/…`. */
  readonly calls: string[] = []
  /** Runs before each call, which fails when it throws. */
  before: (call: Call, key: string, signal?: AbortSignal) => Promise<void> | void = () => undefined
  /** How much of the next body arrives before its connection breaks, or seems to have come to its end. */
  breakAfter: number | undefined
  breakQuietly = false
  readonly objects = new Map<string, { readonly bytes: Uint8Array; readonly modifiedAt: number }>()
  readonly uploads = new Map<string, Upload>()
  /** Bodies that nobody has closed. */
  readonly open = new Set<Readable>()
  #lastId = 0

  readonly #pageSize: number

  constructor(limits: Partial<ObjectLimits> = {}, pageSize = 3) {
    this.limits = { ...tinyLimits, ...limits }
    this.#pageSize = pageSize
  }

  /** Keys in order. */
  get keys(): string[] {
    return [...this.objects.keys()].sort()
  }

  async #enter(call: Call, key: string, signal?: AbortSignal): Promise<void> {
    this.calls.push(`${call} ${key}`)
    await this.before(call, key, signal)
  }

  async put(key: string, bytes: Uint8Array, _sha256: string | undefined, signal: AbortSignal): Promise<void> {
    await this.#enter('put', key, signal)
    this.#store(key, Uint8Array.from(bytes))
  }

  #store(key: string, bytes: Uint8Array): void {
    this.objects.set(key, { bytes, modifiedAt: Date.now() })
  }

  async get(key: string, range: ByteRange | undefined, signal: AbortSignal): Promise<ObjectBody | undefined> {
    await this.#enter('get', key, signal)
    const object = this.objects.get(key)
    if (object === undefined) return undefined
    if (range && range.start >= object.bytes.length) throw new ObjectStoreError('outside', 'nothing is there')
    const bytes = range ? object.bytes.subarray(range.start, range.end + 1) : object.bytes
    const [broken, quietly] = [this.breakAfter, this.breakQuietly]
    this.breakAfter = undefined
    const end = Math.min(bytes.length, broken ?? bytes.length)
    const step = Math.max(10, Math.ceil(bytes.length / 50))
    const source = async function* () {
      for (let at = 0; at < end; at += step) yield Buffer.from(bytes.subarray(at, Math.min(at + step, end)))
      if (broken !== undefined && !quietly) throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
    }
    const body = Readable.from(source(), { objectMode: false, highWaterMark: step })
    this.open.add(body)
    body.once('close', () => this.open.delete(body))
    return { size: bytes.length, bytes: body }
  }

  async stat(key: string, signal: AbortSignal): Promise<{ readonly size: number } | undefined> {
    await this.#enter('stat', key, signal)
    const object = this.objects.get(key)
    return object && { size: object.bytes.length }
  }

  async delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#enter('delete', key, signal)
    this.objects.delete(key)
  }

  async list(
    prefix: string,
    { after, page }: { after?: string; page?: string },
    signal: AbortSignal,
  ): Promise<Page<ObjectEntry>> {
    await this.#enter('list', prefix, signal)
    const keys = this.keys.filter((key) => key.startsWith(prefix) && key > (page ?? after ?? ''))
    const entries = keys.slice(0, this.#pageSize).map((key) => {
      const { bytes, modifiedAt } = this.objects.get(key)!
      return { key, size: bytes.length, modifiedAt }
    })
    return { entries, next: keys.length > this.#pageSize ? entries.at(-1)?.key : undefined }
  }

  async copy(source: string, target: string, signal: AbortSignal): Promise<void> {
    await this.#enter('copy', target, signal)
    const { bytes } = this.#source(source)
    if (bytes.length > this.limits.maxCopyBytes) throw new ObjectStoreError('other', 'too much for one copy')
    this.#store(target, bytes)
  }

  async begin(key: string, signal: AbortSignal): Promise<Multipart> {
    await this.#enter('begin', key, signal)
    this.#lastId++
    const id = String(this.#lastId).padStart(4, '0')
    this.uploads.set(id, { key, begunAt: Date.now(), parts: new Map() })
    return { key, id }
  }

  async putPart({ key, id }: Multipart, number: number, bytes: Uint8Array, signal: AbortSignal): Promise<string> {
    await this.#enter('putPart', key, signal)
    if (bytes.length > this.limits.partBytes) throw new ObjectStoreError('other', 'a part is too large')
    return this.#add(id, number, Uint8Array.from(bytes))
  }

  async copyPart(
    { key, id }: Multipart,
    number: number,
    source: string,
    { start, end }: ByteRange,
    signal: AbortSignal,
  ): Promise<string> {
    await this.#enter('copyPart', key, signal)
    const { bytes } = this.#source(source)
    if (end >= bytes.length || end - start + 1 > this.limits.maxCopyBytes) {
      throw new ObjectStoreError('other', 'a copy reaches too far')
    }
    return this.#add(id, number, bytes.subarray(start, end + 1))
  }

  #source(key: string) {
    const object = this.objects.get(key)
    if (object === undefined) throw new ObjectStoreError('missing', `there is no ${key}`)
    return object
  }

  #add(id: string, number: number, bytes: Uint8Array): string {
    const upload = this.uploads.get(id)
    if (upload === undefined) throw new ObjectStoreError('lost', 'there is no such upload')
    upload.parts.set(number, bytes)
    return `tag-${number}-${bytes.length}`
  }

  async complete({ key, id }: Multipart, parts: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#enter('complete', key, signal)
    const upload = this.uploads.get(id)
    if (upload === undefined) throw new ObjectStoreError('lost', 'there is no such upload')
    if (parts.length === 0 || parts.length > this.limits.maxParts) {
      throw new ObjectStoreError('other', `an object of ${parts.length} parts`)
    }
    const bytes = parts.map((tag, index) => {
      const part = upload.parts.get(index + 1)
      if (part === undefined || tag !== `tag-${index + 1}-${part.length}`) throw new ObjectStoreError('lost', tag)
      if (index < parts.length - 1 && part.length < this.limits.minPartBytes) {
        throw new ObjectStoreError('other', `part ${index + 1} of ${parts.length} has ${part.length} bytes only`)
      }
      return part
    })
    this.#store(key, new Uint8Array(Buffer.concat(bytes)))
    this.uploads.delete(id)
  }

  async abandon({ key, id }: Multipart, signal: AbortSignal): Promise<void> {
    await this.#enter('abandon', key, signal)
    this.uploads.delete(id)
  }

  async listUnfinished(prefix: string, page: string | undefined, signal: AbortSignal): Promise<Page<UnfinishedObject>> {
    await this.#enter('listUnfinished', prefix, signal)
    const found = [...this.uploads].filter(([id, { key }]) => key.startsWith(prefix) && id > (page ?? ''))
    const entries = found.slice(0, this.#pageSize).map(([id, { key, begunAt }]) => ({ key, id, begunAt }))
    return { entries, next: found.length > this.#pageSize ? entries.at(-1)?.id : undefined }
  }

  async link(key: string, ttlSeconds: number): Promise<URL> {
    await this.#enter('link', key)
    return new URL(`https://objects.example/${key}?ttl=${ttlSeconds}&signature=secret`)
  }

  dispose(): void {}
}
