/**
 * Files that go out without passing through this process: the system sends what it has in memory straight to the socket
 * (sendfile). What would have to come from the disk first is read in the thread pool, because the call would wait for it, and
 * with it every other client.
 */
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { BufferPool } from '../base/buffer-pool.ts'
import { closeFile, type Descriptor, readSome, readSomeNow } from '../base/descriptor.ts'
import { type FileSlice, isFileBytes } from '../base/file-bytes.ts'
import { LentBuffers } from '../base/lent-buffers.ts'
import { mostAsked, type SystemCalls, systemCalls } from '../base/system-calls.ts'

/**
 * So much is written by Node.js after each call of the system: its callback tells when the socket takes more, for which
 * Node.js has no other sign.
 */
const pieceBytes = 64 * 1024
const coldPieceBytes = 256 * 1024
const keptBuffers = 16
/** When so many clients are sent what was on the disk, further ones get it in small pieces. */
const mostColdPieces = 16

/**
 * For a peer on this machine. The 4 MiB to which Linux lets the buffer grow pay off over long distances; here they only push
 * each other out of the processor's cache (10 MB to 32 clients: 2.2 GB/s with 2 MiB, 2.9 with this).
 */
const localBufferBytes = 512 * 1024

/** Resolves when the socket has taken the bytes, rejects when the client has gone. */
export type WriteToSocket = (bytes: Uint8Array) => Promise<void>

export interface FileSender {
  /** Closes the file, also when it rejects. */
  send(socket: Socket, slice: FileSlice, write: WriteToSocket): Promise<void>
}

/** Undefined where the system cannot be asked. */
export function createFileSender(system: SystemCalls | undefined = systemCalls()): FileSender | undefined {
  if (system === undefined) return undefined
  const pieces = new BufferPool(pieceBytes, keptBuffers)
  const parts: Parts = {
    system,
    pieces,
    coldPieces: new LentBuffers(new BufferPool(coldPieceBytes, keptBuffers), pieces, mostColdPieces),
    limited: new WeakSet(),
  }
  return {
    async send(socket, slice, write) {
      const { file, end } = slice
      const mapping = system.mapFile(file, end)
      try {
        await new Sending(parts, socket, slice, mapping, write).run()
      } finally {
        if (mapping !== undefined) system.unmapFile(mapping, end)
        closeFile(file)
      }
    },
  }
}

let usual: { readonly files: FileSender | undefined } | undefined

/**
 * Sends all chunks, each before the next is asked for, because the source reuses its buffers; or the file that they lie in.
 * socket: where a file may be sent to, which is not said of one that encrypts. Returns the number of bytes.
 */
export async function sendStream(
  socket: Socket | undefined,
  chunks: AsyncIterable<Uint8Array>,
  write: WriteToSocket,
): Promise<number> {
  usual ??= { files: createFileSender() }
  if (socket !== undefined && usual.files !== undefined && isFileBytes(chunks)) {
    const slice = chunks.takeFile()
    await usual.files.send(socket, slice, write)
    return slice.end - slice.start
  }
  let sent = 0
  for await (const chunk of chunks) {
    await write(chunk)
    sent += chunk.length
  }
  return sent
}

interface Parts {
  readonly system: SystemCalls
  readonly pieces: BufferPool
  readonly coldPieces: LentBuffers
  /** Sockets whose buffer has been limited. */
  readonly limited: WeakSet<Socket>
}

class Sending {
  readonly #parts: Parts
  readonly #socket: Socket
  readonly #slice: FileSlice
  readonly #mapping: bigint | undefined
  readonly #write: WriteToSocket
  #position: number
  /** Up to here it was all in memory a moment ago. */
  #residentEnd: number

  constructor(parts: Parts, socket: Socket, slice: FileSlice, mapping: bigint | undefined, write: WriteToSocket) {
    this.#parts = parts
    this.#socket = socket
    this.#slice = slice
    this.#mapping = mapping
    this.#write = write
    this.#position = slice.start
    this.#residentEnd = slice.start
  }

  async run(): Promise<void> {
    // Once this has been taken, nothing that was written before it waits any more, such as a head.
    await (this.#isResident() ? this.#sendResidentPiece() : this.#readAndSend())
    let turnBegan = this.#slice.start
    while (this.#position < this.#slice.end) {
      if (this.#position - turnBegan > mostAsked) {
        await nextTurn() // a client that takes everything at once must not keep the others waiting
        turnBegan = this.#position
      }
      const descriptor = descriptorOf(this.#socket)
      if (descriptor !== undefined && this.#isResident()) await this.#sendResident(descriptor)
      else await this.#readAndSend()
    }
  }

  /** Whether enough is in memory for a call of the system and a piece after it. */
  #isResident(): boolean {
    const { end } = this.#slice
    if (this.#mapping === undefined) return false
    if (this.#residentEnd < end && this.#residentEnd - this.#position <= pieceBytes) {
      const length = Math.min(end - this.#position, mostAsked)
      this.#residentEnd = this.#position + this.#parts.system.residentBytes(this.#mapping, this.#position, length)
    }
    return this.#residentEnd === end || this.#residentEnd - this.#position > pieceBytes
  }

  async #sendResident(descriptor: Descriptor): Promise<void> {
    const { system } = this.#parts
    const { file, end } = this.#slice
    this.#limitOnce(descriptor)
    const length = (this.#residentEnd === end ? end : this.#residentEnd - pieceBytes) - this.#position
    this.#position += system.sendFile(descriptor, file, this.#position, length)
    if (this.#position < end) await this.#sendResidentPiece()
  }

  async #sendResidentPiece(): Promise<void> {
    await this.#sendPiece(this.#parts.pieces, (piece) => {
      const length = Math.min(piece.length, this.#residentEnd - this.#position)
      return readSomeNow(this.#slice.file, piece, length, this.#position)
    })
  }

  async #readAndSend(): Promise<void> {
    const { system, coldPieces } = this.#parts
    const { file, end } = this.#slice
    const left = end - this.#position
    system.willNeed(file, this.#position, Math.min(left, mostAsked))
    await this.#sendPiece(coldPieces, (piece) => readSome(file, piece, Math.min(piece.length, left), this.#position))
  }

  async #sendPiece(pool: BufferPool | LentBuffers, read: (piece: Buffer) => number | Promise<number>): Promise<void> {
    const piece = pool.take()
    try {
      const length = await read(piece)
      await this.#write(piece.subarray(0, length))
      this.#position += length
    } finally {
      pool.give(piece)
    }
  }

  #limitOnce(descriptor: Descriptor): void {
    const { system, limited } = this.#parts
    if (limited.has(this.#socket) || !isLocal(this.#socket)) return
    limited.add(this.#socket)
    system.limitSendBuffer(descriptor, localBufferBytes)
  }
}

/** Asked anew before each use: a closed socket's number is soon another one's. */
function descriptorOf(socket: Socket): Descriptor | undefined {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: unknown } | null }
  return typeof handle?.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined
}

function isLocal({ remoteAddress, localAddress }: Socket): boolean {
  return remoteAddress !== undefined && remoteAddress === localAddress
}
