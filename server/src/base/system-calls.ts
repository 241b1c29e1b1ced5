/**
 * The few calls of the operating system that Node.js has no name for, through `node:ffi`: on Linux, where that module is there.
 * A wrong type here would not throw but end the process, so nothing else may call through it.
 * Source: the manual pages sendfile(2), mmap(2), mincore(2), posix_fadvise(2), setsockopt(2),
 * malloc_trim(3).
 */
import { endianness } from 'node:os'
import type { Descriptor } from './descriptor.ts'

export interface SystemCalls {
  /** Bytes that the socket took at once, of `length` from `position` on; 0 where it takes none now, or never will. */
  sendFile(socket: Descriptor, file: Descriptor, position: number, length: number): number
  /** A view of the first `length` bytes that `residentBytes` can ask about; undefined where the system refuses. */
  mapFile(file: Descriptor, length: number): bigint | undefined
  unmapFile(mapping: bigint, length: number): void
  /** How many of the bytes from `position` on can be had without the disk: at most `mostAsked` of them. */
  residentBytes(mapping: bigint, position: number, length: number): number
  /** Has the system read them into memory; does not wait for it. */
  willNeed(file: Descriptor, position: number, length: number): void
  /** bytes: how much the socket keeps for a peer that has not taken it yet. */
  limitSendBuffer(socket: Descriptor, bytes: number): void
  /**
   * Gives freed memory back to the system, which the allocator keeps where anything else lies behind it. Takes some 10 ms when
   * there are 100 MiB. Absent where the C library is not glibc.
   */
  readonly giveBackMemory: (() => void) | undefined
}

/** Bytes. */
export const mostAsked = 4 * 1024 * 1024

const smallestPage = 4096
const readable = 1 // PROT_READ
const shared = 1 // MAP_SHARED
const adviseWillNeed = 3 // POSIX_FADV_WILLNEED
const socketLevel = 1 // SOL_SOCKET
const sendBuffer = 7 // SO_SNDBUF
const failed = 0xffff_ffff_ffff_ffffn // MAP_FAILED

let loaded: { readonly calls: SystemCalls | undefined } | undefined

/** Undefined where they cannot be called; every user has another way. */
export function systemCalls(): SystemCalls | undefined {
  loaded ??= { calls: load() }
  return loaded.calls
}

function load(): SystemCalls | undefined {
  if (process.platform !== 'linux' || endianness() !== 'LE') return undefined
  if (process.arch !== 'x64' && process.arch !== 'arm64') return undefined
  const ffi = quietly(() => process.getBuiltinModule('node:ffi'))
  if (ffi === undefined) return undefined
  const { functions } = ffi.dlopen(null, {
    sendfile: { return: 'int64', arguments: ['int32', 'int32', 'buffer', 'uint64'] },
    mmap: { return: 'uint64', arguments: ['uint64', 'uint64', 'int32', 'int32', 'int32', 'int64'] },
    munmap: { return: 'int32', arguments: ['uint64', 'uint64'] },
    mincore: { return: 'int32', arguments: ['uint64', 'uint64', 'buffer'] },
    getpagesize: { return: 'int32', arguments: [] },
    posix_fadvise: { return: 'int32', arguments: ['int32', 'int64', 'int64', 'int32'] },
    setsockopt: { return: 'int32', arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'] },
  })
  const pageBytes = functions.getpagesize()
  const offset = Buffer.alloc(8)
  const pages = Buffer.alloc(mostAsked / smallestPage + 1)
  const option = Buffer.alloc(4)

  return {
    sendFile(socket, file, position, length) {
      offset.writeBigInt64LE(BigInt(position))
      return Math.max(0, Number(functions.sendfile(socket, file, offset, BigInt(length))))
    },

    mapFile(file, length) {
      const mapping = functions.mmap(0n, BigInt(length), readable, shared, file, 0n)
      return mapping === failed ? undefined : mapping
    },

    unmapFile(mapping, length) {
      functions.munmap(mapping, BigInt(length))
    },

    residentBytes(mapping, position, length) {
      const first = position - (position % pageBytes)
      const end = Math.min(position + length, first + mostAsked)
      const count = Math.ceil((end - first) / pageBytes)
      if (functions.mincore(mapping + BigInt(first), BigInt(end - first), pages) !== 0) return 0
      let resident = 0
      while (resident < count && (pages[resident]! & 1) === 1) resident++
      return Math.max(0, Math.min(end, first + resident * pageBytes) - position)
    },

    willNeed(file, position, length) {
      functions.posix_fadvise(file, BigInt(position), BigInt(length), adviseWillNeed)
    },

    limitSendBuffer(socket, bytes) {
      option.writeInt32LE(bytes / 2) // the system doubles it, for its own bookkeeping
      functions.setsockopt(socket, socketLevel, sendBuffer, option, option.length)
    },

    giveBackMemory: loadGiveBack(ffi),
  }
}

function loadGiveBack(ffi: typeof import('node:ffi')): (() => void) | undefined {
  try {
    const { functions } = ffi.dlopen(null, { malloc_trim: { return: 'int32', arguments: ['uint64'] } })
    return () => void functions.malloc_trim(0n)
  } catch {
    return undefined
  }
}

/** Loading says on stderr that the module is experimental, which whoever runs a registry cannot act on. */
function quietly<T>(work: () => T): T {
  const { emitWarning } = process
  process.emitWarning = () => undefined
  try {
    return work()
  } finally {
    process.emitWarning = emitWarning
  }
}
