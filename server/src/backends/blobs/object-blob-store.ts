/**
 * Blobs in an object store, for any number of machines. What differs between stores is behind `ObjectStore`.
 *
 *     blobs/sha256/ab/<hex>      a committed blob: complete and verified
 *     uploads/<session>/…        an unfinished one, see `object-session.ts`
 *     owner                      whose blobs these are
 *
 * Nothing of a session is in this process's memory alone, except the bytes of a closing append, which live for a moment.
 */
import { createHash, type Hash } from 'node:crypto'
import { algorithmOf, type Digest, type DigestAlgorithm, hexOf, toDigest } from '@berth/oci'
import { BoundedCache } from '../../base/bounded-cache.ts'
import { Fault } from '../../base/fault.ts'
import { inParallel } from '../../base/in-parallel.ts'
import type { AppendOptions, BlobStat, BlobStore, ByteRange, LinkOptions, StoredSession } from './blob-store.ts'
import { ObjectReader } from './object-reader.ts'
import { patient, RetryingObjects, type RetryPolicy, type StoreCall } from './object-retries.ts'
import {
  begun,
  cutPieces,
  lengthOf,
  type Piece,
  parseSegment,
  piecesOf,
  type Segment,
  segmentName,
} from './object-session.ts'
import { type ObjectBody, type ObjectStore, ObjectStoreError } from './object-store.ts'
import { PartBuffers } from './part-buffers.ts'
import { publish } from './publish.ts'
import type { Extract } from './publish-plan.ts'
import { SegmentWriter, type Tail } from './segment-writer.ts'
import { SessionGates } from './session-gate.ts'
import { newSession, sessionPattern } from './session-id.ts'

export interface ObjectBlobStoreOptions {
  /** Whether the store hands out links; yes, when it is not said. */
  readonly redirects?: boolean
  /** Called for every try of every call to the store. */
  readonly observe?: ((call: StoreCall) => void) | undefined
  /** For tests, like the others: of calls that fail. */
  readonly retries?: Partial<RetryPolicy>
  /** How long the store may let a reader wait for the next bytes. */
  readonly stallMs?: number
  /** Memory of all uploads of this process together. */
  readonly budgetBytes?: number
  /** How long an upload may fill a buffer while others wait for one. */
  readonly patienceMs?: number
}

const algorithms: readonly DigestAlgorithm[] = ['sha256', 'sha512']
const blobPattern = /^blobs\/(sha256|sha512)\/[0-9a-f]{2}\/([0-9a-f]+)$/
const hexDigits = { sha256: 64, sha512: 128 }
/** Of a part's memory: what a client gets to begin with. */
const smallShare = 32
/** Sessions whose hash is remembered between requests; for others the bytes are read once more at the end. */
const rememberedHashes = 1024
/** How long the bytes of a closing append wait for their commit. */
const tailMs = 30_000
const parallelDeletes = 8

/** What this process has hashed of a session: good while these segments, and no others, are there. */
interface KnownHash {
  /** Of sha256. */
  readonly hash: Hash
  /** Of the segments. */
  readonly names: string
  /** Bytes, those of a tail included. */
  readonly length: number
}

export class ObjectBlobStore implements BlobStore {
  readonly #objects: RetryingObjects
  readonly #buffers: PartBuffers
  readonly #stallMs: number
  readonly #gates = new SessionGates()
  readonly #hashes = new BoundedCache<string, KnownHash>(rememberedHashes)
  readonly deletesTogether = parallelDeletes
  readonly #tails = new Map<string, Tail & { readonly expiry: NodeJS.Timeout }>()
  readonly link?: (digest: Digest, options: LinkOptions) => Promise<URL>

  constructor(objects: ObjectStore, options: ObjectBlobStoreOptions = {}) {
    const { redirects = true, retries, observe, stallMs = 30_000, budgetBytes = 48 << 20, patienceMs = 1_000 } = options
    this.#objects = new RetryingObjects(objects, { ...patient, ...retries }, observe)
    const { partBytes } = objects.limits
    this.#buffers = new PartBuffers({ smallBytes: partBytes / smallShare, partBytes, budgetBytes, patienceMs })
    this.#stallMs = stallMs
    if (redirects) this.link = (digest, { ttlSeconds }) => this.#objects.link(blobKey(digest), ttlSeconds)
  }

  stat(digest: Digest): Promise<BlobStat | undefined> {
    return this.#objects.stat(blobKey(digest))
  }

  async read(digest: Digest, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    return this.#open(blobKey(digest), digest, range, () => new Fault('blobUnknown', { digest }))
  }

  async #open(key: string, name: string, range: ByteRange | undefined, missing: () => Error): Promise<ObjectReader> {
    const body = await this.#objects.get(key, range).catch((error: unknown) => {
      const outside = error instanceof ObjectStoreError && error.trouble === 'outside'
      throw outside ? new Error(`${name} is damaged: it ends before byte ${range?.start}`) : error
    })
    if (body === undefined) throw missing()
    const start = range?.start ?? 0
    const end = range === undefined ? body.size : range.end + 1
    if (body.size !== end - start) {
      body.bytes.destroy()
      throw new Error(`${name} is damaged: ${body.size} bytes are there, and ${end - start} were asked for`)
    }
    const reopen = (rest: ByteRange): Promise<ObjectBody | undefined> => this.#objects.get(key, rest)
    return new ObjectReader({ name, start, end, reopen, stallMs: this.#stallMs }, body.bytes)
  }

  async begin(): Promise<string> {
    const session = newSession()
    await this.#objects.put(prefixOf(session) + begun, new Uint8Array())
    this.#hashes.set(session, { hash: createHash('sha256'), names: '', length: 0 })
    return session
  }

  async append(
    session: string,
    offset: number,
    bytes: AsyncIterable<Uint8Array>,
    { closing = false }: AppendOptions = {},
  ): Promise<number> {
    return this.#gates.enter(session, { ends: false }, async (step) => {
      const { segments, hash } = await step(() => this.#openForAppend(session, offset))
      const names = segments.map(({ name }) => name)
      const writer = new SegmentWriter({
        objects: this.#objects,
        prefix: prefixOf(session),
        sequence: nextSequence(segments),
        offset,
        hash,
        buffers: this.#buffers,
        step,
      })
      let complete = false
      try {
        for await (const chunk of bytes) await writer.push(chunk)
        complete = true
      } finally {
        // Also when the giver fails: what arrived is kept. A failure to write it is the one to tell.
        const tail = await writer.finish({ keepTail: closing && complete })
        if (tail) await step(async () => this.#keepTail(session, tail)).catch((error) => giveUp(tail, error))
        if (hash) {
          const known = { hash, names: joined([...names, ...writer.names]), length: writer.position }
          this.#hashes.set(session, known)
        }
      }
      return writer.position
    })
  }

  /** Cuts the session to `offset`. hash: of what is before it, where this process knows that. */
  async #openForAppend(
    session: string,
    offset: number,
  ): Promise<{ segments: readonly Segment[]; hash: Hash | undefined }> {
    const segments = await this.#writeTail(session, await this.#find(session))
    const length = lengthOf(piecesOf(segments))
    if (offset > length) throw new Fault('chunkOutOfOrder', { session, expectedOffset: length })
    const known = this.#knownHash(session, segments, length)
    this.#hashes.delete(session)
    if (offset < length) return this.#cut(session, segments, offset)
    return { segments, hash: known ?? (length === 0 ? createHash('sha256') : undefined) }
  }

  /** The segment that cuts comes first: whatever else is left of the others, it does not count any more. */
  async #cut(session: string, segments: readonly Segment[], offset: number) {
    const sequence = nextSequence(segments)
    const cut = { name: segmentName(sequence, offset), sequence, offset, size: 0 }
    await this.#objects.put(prefixOf(session) + cut.name, new Uint8Array())
    const dropped = segments.filter((segment) => segment.offset >= offset)
    await this.#deleteAll(dropped.map(({ name }) => prefixOf(session) + name))
    const kept = segments.filter((segment) => segment.offset < offset)
    return { segments: [...kept, cut], hash: offset === 0 ? createHash('sha256') : undefined }
  }

  async commit(session: string, size: number, digest: Digest): Promise<void> {
    await this.#gates.enter(session, { ends: true }, (step) => step(() => this.#commit(session, size, digest)))
  }

  async #commit(session: string, size: number, digest: Digest): Promise<void> {
    const segments = await this.#find(session)
    const stored = piecesOf(segments)
    const tail = this.#takeTail(session, lengthOf(stored))
    let committed = false
    try {
      const all = tail ? [pieceOf(tail)] : stored
      const length = lengthOf(all)
      if (length < size) throw new Fault('chunkOutOfOrder', { session, expectedOffset: length })
      const pieces = cutPieces(all, size)
      const known = this.#knownHash(session, segments, length)
      const algorithm = algorithmOf(digest)
      const usable = algorithm === 'sha256' && length === size
      const hash = known && usable ? known.copy() : await this.#hash(session, pieces, algorithm)
      const actual = toDigest(algorithm, hash.digest('hex'))
      if (actual === digest) await this.#publish(session, pieces, digest)
      committed = true
      // The outcome stands, whether or not the store can be reached for this: `listSessions` finds what is left.
      await this.#drop(session, segments, { ours: known !== undefined }).catch(() => undefined)
      if (actual !== digest) throw new Fault('digestMismatch', { expected: digest, actual })
    } finally {
      if (tail && !committed) this.#keepTail(session, tail)
      else tail?.release()
    }
  }

  #publish(session: string, pieces: readonly Piece[], digest: Digest): Promise<void> {
    return publish(pieces, {
      objects: this.#objects,
      buffers: this.#buffers,
      prefix: prefixOf(session),
      target: blobKey(digest),
      sha256: algorithmOf(digest) === 'sha256' ? hexOf(digest) : undefined,
      read: (extract) => this.#readExtract(session, extract),
    }).catch((error: unknown) => {
      const missing = error instanceof ObjectStoreError && error.trouble === 'missing'
      throw missing ? new Fault('blobUploadUnknown', { session }, { cause: error }) : error
    })
  }

  async #hash(session: string, pieces: readonly Piece[], algorithm: DigestAlgorithm): Promise<Hash> {
    const hash = createHash(algorithm)
    for (const piece of pieces) {
      const bytes = await this.#readExtract(session, { piece, start: 0, length: piece.length })
      for await (const chunk of bytes) hash.update(chunk)
    }
    return hash
  }

  async #readExtract(session: string, { piece, start, length }: Extract): Promise<AsyncIterable<Uint8Array>> {
    const end = start + length
    if (piece.bytes) return inOneChunk(piece.bytes.subarray(start, end))
    const missing = () => new Fault('blobUploadUnknown', { session })
    const range = { start, end: end - 1 }
    return this.#open(prefixOf(session) + piece.name, `upload session ${session}`, range, missing)
  }

  async ensureDurable(digest: Digest): Promise<BlobStat | undefined> {
    return this.stat(digest)
  }

  async abort(session: string): Promise<void> {
    if (!sessionPattern.test(session)) return
    await this.#gates.enter(session, { ends: true }, (step) =>
      step(async () => {
        this.#takeTail(session)?.release()
        const entries = await Array.fromAsync(this.#objects.list(prefixOf(session)))
        const names = entries.map(({ key }) => key.slice(prefixOf(session).length))
        await this.#drop(
          session,
          names.map((name) => ({ name })),
          { ours: false },
        )
        for (const algorithm of algorithms) await this.#abandonAll(unfinishedBlobs(algorithm, session))
      }),
    )
  }

  /**
   * First what makes it a session: whatever is left after that is nobody's, and `listSessions` finds it. ours: whether this
   * process did all of it, and knows that no upload of parts was left behind.
   */
  async #drop(session: string, segments: readonly { readonly name: string }[], { ours }: { ours: boolean }) {
    this.#hashes.delete(session)
    await this.#objects.delete(prefixOf(session) + begun)
    const names = segments.map(({ name }) => name).filter((name) => name !== begun)
    await this.#deleteAll(names.map((name) => prefixOf(session) + name))
    if (!ours) await this.#abandonAll(prefixOf(session))
  }

  async #abandonAll(prefix: string): Promise<void> {
    for await (const unfinished of this.#objects.listUnfinished(prefix)) await this.#objects.abandon(unfinished)
  }

  async #deleteAll(keys: readonly string[]): Promise<void> {
    await inParallel(keys, parallelDeletes, (key) => this.#objects.delete(key))
  }

  async delete(digest: Digest): Promise<boolean> {
    if ((await this.stat(digest)) === undefined) return false
    await this.#objects.delete(blobKey(digest))
    return true
  }

  async *list(after?: Digest): AsyncIterable<Digest> {
    for await (const { key } of this.#objects.list('blobs/', after && blobKey(after))) {
      const [, algorithm, hex = ''] = blobPattern.exec(key) ?? []
      if ((algorithm === 'sha256' || algorithm === 'sha512') && hex.length === hexDigits[algorithm])
        yield toDigest(algorithm, hex)
    }
  }

  /**
   * Sessions by their objects, and by parts that a process left behind when it was killed: those of a segment, and those of a
   * blob that was being put together, which go by the beginning of its digest.
   */
  async *listSessions(): AsyncIterable<StoredSession> {
    const unfinished = new Map<string, number>()
    for (const [prefix, pattern] of unfinishedPatterns) {
      for await (const { key, begunAt } of this.#objects.listUnfinished(prefix)) {
        const session = pattern.exec(key)?.[1]
        if (session !== undefined) unfinished.set(session, Math.max(begunAt, unfinished.get(session) ?? 0))
      }
    }
    let current: { session: string; updatedAt: number } | undefined
    for await (const { key, modifiedAt } of this.#objects.list('uploads/')) {
      const session = /^uploads\/([0-9a-f]{32})\//.exec(key)?.[1]
      if (session === undefined) continue
      if (current && current.session !== session) yield current
      const before = current?.session === session ? current.updatedAt : (unfinished.get(session) ?? 0)
      current = { session, updatedAt: Math.max(before, modifiedAt) }
      unfinished.delete(session)
    }
    if (current) yield current
    for (const [session, updatedAt] of unfinished) yield { session, updatedAt }
  }

  async owner(): Promise<string | undefined> {
    const found = await this.#objects.stat(ownerKey)
    if (found === undefined) return undefined
    const missing = () => new Error('the owner of the store was removed while it was read')
    const bytes = found.size === 0 ? [] : await this.#open(ownerKey, ownerKey, undefined, missing)
    let text = ''
    for await (const chunk of bytes) text += Buffer.from(chunk).toString()
    return text.trim()
  }

  async setOwner(owner: string): Promise<void> {
    await this.#objects.put(ownerKey, Buffer.from(`${owner}\n`))
  }

  async dispose(): Promise<void> {
    for (const session of [...this.#tails.keys()]) this.#takeTail(session)?.release()
    this.#objects.dispose()
  }

  /** In order. Fault: `blobUploadUnknown`. */
  async #find(session: string): Promise<Segment[]> {
    if (!sessionPattern.test(session)) throw new Fault('blobUploadUnknown', { session })
    const prefix = prefixOf(session)
    const segments: Segment[] = []
    let isThere = false
    for await (const { key, size } of this.#objects.list(prefix)) {
      const name = key.slice(prefix.length)
      const segment = parseSegment(name, size)
      if (segment) segments.push(segment)
      isThere ||= name === begun
    }
    if (!isThere) throw new Fault('blobUploadUnknown', { session })
    return segments
  }

  #knownHash(session: string, segments: readonly Segment[], length: number): Hash | undefined {
    const known = this.#hashes.get(session)
    return known?.length === length && known.names === joined(segments.map(({ name }) => name)) ? known.hash : undefined
  }

  #keepTail(session: string, tail: Tail): void {
    const expiry = setTimeout(() => this.#takeTail(session)?.release(), tailMs)
    expiry.unref()
    this.#tails.set(session, { ...tail, expiry })
  }

  /** length: of the segments; where there are any bytes, the tail belongs to what somebody else has replaced. */
  #takeTail(session: string, length?: number): Tail | undefined {
    const tail = this.#tails.get(session)
    this.#tails.delete(session)
    clearTimeout(tail?.expiry)
    if (tail === undefined || length === undefined || length === 0) return tail
    tail.release()
    return undefined
  }

  /** After a closing append that was not the last one. Returns the segments with the tail among them. */
  async #writeTail(session: string, segments: Segment[]): Promise<Segment[]> {
    const tail = this.#takeTail(session, lengthOf(piecesOf(segments)))
    if (tail === undefined) return segments
    try {
      const sequence = nextSequence(segments)
      const name = segmentName(sequence, 0)
      await this.#objects.put(prefixOf(session) + name, tail.bytes)
      return [...segments, { name, sequence, offset: 0, size: tail.bytes.length }]
    } finally {
      tail.release()
    }
  }
}

const ownerKey = 'owner'

const prefixOf = (session: string) => `uploads/${session}/`

function blobKey(digest: Digest): string {
  const hex = hexOf(digest)
  return `blobs/${algorithmOf(digest)}/${hex.slice(0, 2)}/${hex}`
}

const unfinishedBlobs = (algorithm: DigestAlgorithm, session: string) =>
  `blobs/${algorithm}/${session.slice(0, 2)}/${session}`

const unfinishedPatterns = [
  ['uploads/', /^uploads\/([0-9a-f]{32})\//],
  ['blobs/', /^blobs\/\w+\/\w+\/([0-9a-f]{32})/],
] as const

const joined = (names: readonly string[]) => names.join(' ')

const nextSequence = (segments: readonly Segment[]) => (segments.at(-1)?.sequence ?? 0) + 1

const pieceOf = ({ bytes }: Tail): Piece => ({
  name: '',
  size: bytes.length,
  offset: 0,
  length: bytes.length,
  bytes,
})

function giveUp(tail: Tail, error: unknown): never {
  tail.release()
  throw error
}

async function* inOneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
