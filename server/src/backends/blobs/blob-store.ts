/**
 * Bytes by digest. Names, links and counts are the database's business.
 *
 * Upload sessions belong to the store too, because each kind of store keeps unfinished bytes in its own way. The store
 * hashes what it is given while it is written, so that a commit seldom reads the bytes again; a session begun by one
 * process may be continued and committed by another.
 */
import type { Digest } from '@berth/oci'

export interface BlobStat {
  /** Bytes. */
  readonly size: number
}

/** Inclusive at both ends, as in HTTP; both lie inside the blob. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** An upload session as the store knows it. */
export interface StoredSession {
  readonly session: string
  /** When bytes last arrived, or it began: milliseconds since the epoch, by the store's clock. */
  readonly updatedAt: number
}

export interface AppendOptions {
  /**
   * The caller commits right away. Until then the store may keep bytes in this process's memory, and forget them when no
   * commit follows: the session is shorter then, as after a crash.
   */
  readonly closing?: boolean
}

export interface LinkOptions {
  /** How long the link is good at least. */
  readonly ttlSeconds: number
}

export interface BlobStore {
  stat(digest: Digest): Promise<BlobStat | undefined>
  /**
   * Opens a blob; the caller iterates to the end or stops early (which closes it).
   * **A chunk is valid only until the next one is asked for**: the store reuses its buffers.
   * A caller that knows the blob's size asks for a range, so that a blob that lost bytes fails here and not on the way.
   * Faults: `blobUnknown`.
   */
  read(digest: Digest, range?: ByteRange): Promise<AsyncIterable<Uint8Array>>
  /**
   * Names a new session: 32 lower-case hexadecimal digits. Nothing is durable yet, and the store may know nothing of it before
   * the first append, which may be one of no bytes.
   */
  begin(): Promise<string>
  /**
   * Writes bytes at `offset` (a chunk is used up before the next is asked for), dropping whatever an earlier, unrecorded append
   * left behind it. Returns the session's length afterwards. When `bytes` throws, what arrived before is kept and the error
   * passes through.
   * At offset 0, a session that is gone may begin anew (in a folder and in memory; not in an object store).
   * Faults: `blobUploadUnknown`; `chunkOutOfOrder` when fewer than `offset` bytes are there; `uploadBusy` when a newer
   * append has taken over; `unavailable` on a full disk.
   */
  append(session: string, offset: number, bytes: AsyncIterable<Uint8Array>, options?: AppendOptions): Promise<number>
  /**
   * Makes the first `size` bytes of the session readable by digest, durably: when this resolves they survive a power
   * cut. A digest that is there already is success, once these bytes have proved to be what it says, and they replace what
   * was there: it may be damaged. The session is gone afterwards, also after a mismatch and when the bytes could not be made
   * durable.
   * Faults: `blobUploadUnknown`; `digestMismatch`; `chunkOutOfOrder` when fewer bytes are there (the session stays);
   * `unavailable` on a full disk.
   */
  commit(session: string, size: number, digest: Digest): Promise<void>
  /**
   * Completes what a commit that died near its end may have left out, for a caller that finds the session gone: when this
   * resolves, the blob survives a power cut. Undefined when there is none. Safe to repeat.
   */
  ensureDurable(digest: Digest): Promise<BlobStat | undefined>
  /** Drops a session's bytes; a session that is not there is fine. */
  abort(session: string): Promise<void>
  /** Quick, whatever the size: it is done inside a transaction. False when there was nothing to delete. */
  delete(digest: Digest): Promise<boolean>
  /** How many deletions at once take little longer than one; absent where each is a moment's work on this machine. */
  readonly deletesTogether?: number
  /** Resolves when the space of what was deleted has been given back; absent where `delete` does not leave that for later. */
  freed?(): Promise<void>
  /** Every session that was appended to and neither committed nor aborted, in any order; one that ends meanwhile may be missing. */
  listSessions(): AsyncIterable<StoredSession>
  /** All digests in ascending order, after the given one. */
  list(after?: Digest): AsyncIterable<Digest>
  /**
   * An address from which anybody who knows it can download the blob, from somewhere else than this server. Absent where
   * the store cannot hand out such; callers then stream. It does not look whether the blob is there.
   */
  link?(digest: Digest, options: LinkOptions): Promise<URL>
  /** What `setOwner` was told last; undefined where nobody has called it. */
  owner(): Promise<string | undefined>
  /** Writes down, durably, whose blobs these are: some letters, digits and hyphens. It is no blob, and in no list. */
  setOwner(owner: string): Promise<void>
  dispose(): Promise<void>
}
