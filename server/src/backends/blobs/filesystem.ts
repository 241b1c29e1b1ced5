/**
 * Blobs in a folder, for one machine; several processes may share it.
 *
 *     <folder>/sha256/ab/<hex>      a committed blob: complete, verified, on disk
 *     <folder>/uploads/<session>    the bytes of an unfinished one
 *     <folder>/owner                whose blobs these are
 */
import { createHash, type Hash } from 'node:crypto'
import { unlinkSync } from 'node:fs'
import { mkdir, opendir, readdir, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { algorithmOf, type Digest, type DigestAlgorithm, hexOf, toDigest } from '@berth/oci'
import { BoundedCache } from '../../base/bounded-cache.ts'
import { BufferPool } from '../../base/buffer-pool.ts'
import {
  closeFile,
  type Descriptor,
  type FileState,
  openFile,
  openRecent,
  readSome,
  sizeOfFile,
  stateOfFile,
  syncFile,
  truncateFile,
} from '../../base/descriptor.ts'
import { faultOfDisk } from '../../base/disk-full.ts'
import { ensureFolder } from '../../base/ensure-folder.ts'
import { Fault } from '../../base/fault.ts'
import type { FileSlice } from '../../base/file-bytes.ts'
import { LentBuffers } from '../../base/lent-buffers.ts'
import { syncFolder } from '../../base/sync-folder.ts'
import { writeWhole } from '../../base/write-once.ts'
import { BlobReader } from './blob-reader.ts'
import type { BlobStat, BlobStore, ByteRange, StoredSession } from './blob-store.ts'
import { DeletedFiles } from './deleted-files.ts'
import { SessionGates } from './session-gate.ts'
import { newSession, sessionPattern } from './session-id.ts'
import { WriteBehind } from './write-behind.ts'

const algorithms: readonly DigestAlgorithm[] = ['sha256', 'sha512']
const hexPatterns = { sha256: /^[0-9a-f]{64}$/, sha512: /^[0-9a-f]{128}$/ }
const fileMode = 0o600
const bufferBytes = 256 * 1024
const keptBuffers = 16
/** For readers, of whom each takes two: those after them are slowed down by small ones, but so many are seldom all fast. */
const mostLentBuffers = 16
const crowdBufferBytes = 64 * 1024
/** Blobs up to here are read in one go. */
const smallBytes = 64 * 1024
/** Sessions whose hash is remembered between requests; for others the file is read once more at the end. */
const rememberedHashes = 1024

/** How long the system is trusted to know by heart where a blob is that was opened, and of how many. */
const recentMs = 10_000
const rememberedOpens = 1024

/** Makes the folder when it is not there, for its owner only. */
export async function openFilesystemBlobStore({ folder }: { readonly folder: string }): Promise<BlobStore> {
  const root = resolve(folder)
  for (const name of [...algorithms, 'uploads']) await ensureFolder(join(root, name))
  // Also where all of it was there: whoever made it may not have come so far.
  await syncFolder(root)
  await syncFolder(dirname(root))
  const store = new FilesystemBlobStore(root)
  await store.removeLeftovers()
  return store
}

/** What this process has hashed of a session, good only while the file is as this process left it. */
interface KnownHash {
  /** Of sha256. */
  readonly hash: Hash
  readonly state: FileState
}

class FilesystemBlobStore implements BlobStore {
  readonly #folder: string
  readonly #buffers = new BufferPool(bufferBytes, keptBuffers)
  readonly #readBuffers = new LentBuffers(this.#buffers, new BufferPool(crowdBufferBytes, keptBuffers), mostLentBuffers)
  readonly #gates = new SessionGates()
  readonly #hashes = new BoundedCache<string, KnownHash>(rememberedHashes)
  readonly #openedAt = new BoundedCache<Digest, number>(rememberedOpens)
  readonly #durableFolders = new Map<string, Promise<void>>()
  readonly #deleted = new DeletedFiles()

  constructor(folder: string) {
    this.#folder = folder
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const size = await sizeOf(this.#blobPath(digest))
    return size === undefined ? undefined : { size }
  }

  async read(digest: Digest, range?: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const slice = await this.#openBlob(digest, range)
    return slice.end - slice.start > smallBytes
      ? new BlobReader(slice, this.#readBuffers)
      : inOneChunk(await readWhole(slice))
  }

  async #openBlob(digest: Digest, range: ByteRange | undefined): Promise<FileSlice> {
    const file = await this.#openBlobFile(digest).catch((error: unknown) => {
      throw isMissing(error) ? new Fault('blobUnknown', { digest }) : error
    })
    try {
      const size = sizeOfFile(file)
      const { start, end } = range ? { start: range.start, end: range.end + 1 } : { start: 0, end: size }
      if (end > size) throw new Error(`${digest} is damaged: it ends after ${size} bytes, and ${end} were asked for`)
      return { file, start, end }
    } catch (error) {
      closeFile(file)
      throw error
    }
  }

  /** One that many pull at the same time is found without a trip through the thread pool. */
  async #openBlobFile(digest: Digest): Promise<Descriptor> {
    const path = this.#blobPath(digest)
    const now = performance.now()
    const isRecent = now - (this.#openedAt.get(digest) ?? Number.NEGATIVE_INFINITY) < recentMs
    const file = isRecent ? openRecent(path, 'r') : await openFile(path, 'r')
    this.#openedAt.set(digest, now)
    return file
  }

  /** The file comes with the first bytes. */
  async begin(): Promise<string> {
    return newSession()
  }

  async append(session: string, offset: number, bytes: AsyncIterable<Uint8Array>): Promise<number> {
    const path = this.#sessionPath(session)
    return this.#gates.enter(session, { ends: false }, async (step) => {
      const { file, hash } = await step(() => this.#openForAppend(path, session, offset))
      try {
        const writer = new WriteBehind({ file, offset, hash, buffers: this.#buffers, step })
        try {
          for await (const chunk of bytes) await writer.push(chunk)
        } finally {
          // Also when the giver fails: what arrived is kept. A failure to write it is the one to tell.
          await writer.flush().catch(async (error: unknown) => {
            // Half a buffer may be on a full disk. Should it stay there, the next append drops it.
            await step(() => truncateFile(file, writer.written)).catch(() => {})
            throw faultOfDisk(error)
          })
          await step(async () => this.#rememberHash(session, file, hash))
        }
        return writer.written
      } finally {
        closeFile(file)
      }
    })
  }

  async #openForAppend(
    path: string,
    session: string,
    offset: number,
  ): Promise<{ file: Descriptor; hash: Hash | undefined }> {
    if (offset === 0) {
      this.#hashes.delete(session)
      const file = await openFile(path, 'w+', fileMode).catch(throwDiskFault)
      return { file, hash: createHash('sha256') }
    }
    const file = openSession(path, session)
    try {
      const state = stateOfFile(file)
      if (offset > state.size) throw new Fault('chunkOutOfOrder', { session, expectedOffset: state.size })
      const known = this.#takeHash(session, state)
      if (offset < state.size) await truncateFile(file, offset)
      return { file, hash: offset === state.size ? known : undefined }
    } catch (error) {
      closeFile(file)
      throw error
    }
  }

  async commit(session: string, size: number, digest: Digest): Promise<void> {
    const path = this.#sessionPath(session)
    await this.#gates.enter(session, { ends: true }, (step) =>
      step(async () => {
        try {
          await this.#verify(path, session, size, digest)
          await this.#publish(path, size, digest)
        } catch (error) {
          throw faultOfDisk(error)
        }
      }),
    )
  }

  /** Leaves exactly the first `size` bytes, on disk, after proving that they are what `digest` says. */
  async #verify(path: string, session: string, size: number, digest: Digest): Promise<void> {
    const file = openSession(path, session)
    try {
      const found = stateOfFile(file)
      const known = this.#takeHash(session, found)
      if (found.size < size) throw new Fault('chunkOutOfOrder', { session, expectedOffset: found.size })
      if (found.size > size) await truncateFile(file, size)
      const hashed = found.size > size ? stateOfFile(file) : found
      const algorithm = algorithmOf(digest)
      const hash =
        known && algorithm === 'sha256' && found.size === size ? known : await this.#hashFile(path, size, algorithm)
      const actual = toDigest(algorithm, hash.digest('hex'))
      if (actual !== digest) {
        await removeFile(path)
        throw new Fault('digestMismatch', { expected: digest, actual })
      }
      await syncFile(file).catch(async (error: unknown) => {
        // The system reports lost bytes once; a sync that is tried again would succeed without them.
        await removeFile(path)
        throw error
      })
      if (!isSame(hashed, stateOfFile(file))) {
        await removeFile(path)
        throw new Error(`upload session ${session} was written to by another process while it was committed`)
      }
    } finally {
      closeFile(file)
    }
  }

  async #hashFile(path: string, size: number, algorithm: DigestAlgorithm): Promise<Hash> {
    const hash = createHash(algorithm)
    const file = await openFile(path, 'r')
    for await (const chunk of new BlobReader({ file, start: 0, end: size }, this.#readBuffers)) {
      hash.update(chunk)
    }
    return hash
  }

  /** In place of a blob that is there already, too: these bytes have just been proved, the others may be damaged. */
  async #publish(path: string, size: number, digest: Digest): Promise<void> {
    const target = this.#blobPath(digest)
    await this.#ensureFolder(dirname(target))
    try {
      await rename(path, target)
    } catch (error) {
      // Where a file that somebody reads cannot be replaced (Windows), it stays.
      if ((await sizeOf(target)) !== size || !isRefused(error)) throw error
      await removeFile(path)
    }
    await this.#syncName(target)
  }

  async ensureDurable(digest: Digest): Promise<BlobStat | undefined> {
    const found = await this.stat(digest)
    if (found) await this.#syncName(this.#blobPath(digest))
    return found
  }

  async #syncName(blob: string): Promise<void> {
    const folder = dirname(blob)
    await this.#ensureFolder(folder)
    await syncFolder(folder)
  }

  /** Another process may have made the folder and died before its name was durable, so each process syncs it once. */
  async #ensureFolder(folder: string): Promise<void> {
    const known = this.#durableFolders.get(folder) ?? makeDurableFolder(folder)
    this.#durableFolders.set(folder, known)
    await known.catch((error: unknown) => {
      this.#durableFolders.delete(folder)
      throw error
    })
  }

  async abort(session: string): Promise<void> {
    if (!sessionPattern.test(session)) return
    await this.#gates.enter(session, { ends: true }, (step) =>
      step(async () => {
        this.#hashes.delete(session)
        await removeFile(this.#sessionPath(session))
      }),
    )
  }

  async *listSessions(): AsyncIterable<StoredSession> {
    for await (const { name } of await opendir(join(this.#folder, 'uploads'))) {
      if (!sessionPattern.test(name)) continue
      const updatedAt = await modifiedAt(this.#sessionPath(name))
      if (updatedAt !== undefined) yield { session: name, updatedAt }
    }
  }

  /**
   * Takes the name only, which is as quick for every size: a file that is held open gives its space back when it is closed,
   * by the system if this process dies. At once, because the thread pool may be full of syncs, and others wait for the lock.
   * Not synced: a blob that a power cut brings back is one more that nobody names.
   */
  async delete(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest)
    try {
      const file = openRecent(path, 'r')
      this.#deleted.add(file)
      unlinkSync(path)
      return true
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
  }

  freed(): Promise<void> {
    return this.#deleted.freed()
  }

  /** Earlier versions moved what they deleted to a folder, and perhaps did not come to remove it there. */
  async removeLeftovers(): Promise<void> {
    const folder = join(this.#folder, 'deleted')
    if ((await findFile(folder)) === undefined) return
    for (const name of await sortedNames(folder, sessionPattern)) await removeFile(join(folder, name))
  }

  async *list(after?: Digest): AsyncIterable<Digest> {
    for (const algorithm of algorithms) {
      if (after !== undefined && algorithm < algorithmOf(after)) continue
      const from = after !== undefined && algorithm === algorithmOf(after) ? hexOf(after) : ''
      for (const prefix of await sortedNames(join(this.#folder, algorithm), /^[0-9a-f]{2}$/)) {
        if (prefix < from.slice(0, 2)) continue
        for (const hex of await sortedNames(join(this.#folder, algorithm, prefix), hexPatterns[algorithm])) {
          if (hex > from) yield toDigest(algorithm, hex)
        }
      }
    }
  }

  async owner(): Promise<string | undefined> {
    try {
      return (await readFile(this.#ownerPath(), 'utf8')).trim()
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  async setOwner(owner: string): Promise<void> {
    await writeWhole(this.#ownerPath(), `${owner}\n`).catch((error: unknown) => {
      throw faultOfDisk(error)
    })
  }

  dispose(): Promise<void> {
    return this.freed()
  }

  #ownerPath(): string {
    return join(this.#folder, 'owner')
  }

  #blobPath(digest: Digest): string {
    const hex = hexOf(digest)
    return join(this.#folder, algorithmOf(digest), hex.slice(0, 2), hex)
  }

  #sessionPath(session: string): string {
    if (!sessionPattern.test(session)) throw new Fault('blobUploadUnknown', { session })
    return join(this.#folder, 'uploads', session)
  }

  #takeHash(session: string, state: FileState): Hash | undefined {
    const known = this.#hashes.get(session)
    this.#hashes.delete(session)
    return known && isSame(known.state, state) ? known.hash : undefined
  }

  #rememberHash(session: string, file: Descriptor, hash: Hash | undefined): void {
    const state = stateOfFile(file)
    if (state.removed) throw new Fault('blobUploadUnknown', { session })
    if (hash) this.#hashes.set(session, { hash, state })
  }
}

function openSession(path: string, session: string): Descriptor {
  try {
    return openRecent(path, 'r+')
  } catch (error) {
    throw isMissing(error) ? new Fault('blobUploadUnknown', { session }) : error
  }
}

function isSame(one: FileState, other: FileState): boolean {
  return one.size === other.size && one.modifiedNs === other.modifiedNs
}

async function readWhole({ file, start, end }: FileSlice): Promise<Uint8Array> {
  try {
    const bytes = Buffer.allocUnsafe(end - start)
    for (let done = 0; done < bytes.length; ) {
      done += await readSome(file, bytes.subarray(done), bytes.length - done, start + done)
    }
    return bytes
  } finally {
    closeFile(file)
  }
}

async function* inOneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

async function makeDurableFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await syncFolder(dirname(folder))
}

const sizeOf = async (path: string) => (await findFile(path))?.size

const modifiedAt = async (path: string) => (await findFile(path))?.mtimeMs

async function findFile(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** False when there was nothing to remove. */
async function removeFile(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}

async function sortedNames(folder: string, pattern: RegExp): Promise<string[]> {
  const names = await readdir(folder)
  return names.filter((name) => pattern.test(name)).sort()
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EPERM' || error.code === 'EACCES')
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function throwDiskFault(error: unknown): never {
  throw faultOfDisk(error)
}
