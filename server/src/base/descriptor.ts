/**
 * Plain file descriptors with promises. Not `FileHandle`: one that the garbage collector meets before it is closed ends
 * the process, and whoever holds ours (a reader that nobody iterates, an append whose giver never answers) may be met.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'

export type Descriptor = number

export const openFile = promisify(fs.open)
export const truncateFile = promisify(fs.ftruncate)
export const syncFile = promisify(fs.fdatasync)
export const syncNames = promisify(fs.fsync)
/** For a large file without a name, whose space is given back now. */
export const closeInBackground = promisify(fs.close)

/**
 * What follows is done at once: a trip through the thread pool takes longer than the call, and both processors are busy
 * with it. A data folder is on a local file system, because SQLite needs one; there, these are bookkeeping in memory.
 */

/** Of a file or folder that was in use a moment ago, so that the system need not ask the disk where it is. */
export const openRecent = fs.openSync
export const closeFile: (file: Descriptor) => void = fs.closeSync
export const sizeOfFile = (file: Descriptor): number => fs.fstatSync(file).size

const read = promisify(fs.read)
const write = promisify(fs.write)

export interface FileState {
  readonly size: number
  readonly modifiedNs: bigint
  /** Whether the name is gone and only our descriptor is left. */
  readonly removed: boolean
}

/** Two equal states: nobody has written in between, as far as the file system's clock can tell. */
export function stateOfFile(file: Descriptor): FileState {
  const { size, mtimeNs, nlink } = fs.fstatSync(file, { bigint: true })
  return { size: Number(size), modifiedNs: mtimeNs, removed: nlink === 0n }
}

/** Reads at least one byte, at most `length`, into the start of `buffer`; throws at the end of the file. */
export async function readSome(
  file: Descriptor,
  buffer: Uint8Array,
  length: number,
  position: number,
): Promise<number> {
  const { bytesRead } = await read(file, buffer, 0, length, position)
  return atLeastOne(bytesRead, position)
}

/** As `readSome`, for bytes that the system has in memory. */
export function readSomeNow(file: Descriptor, buffer: Uint8Array, length: number, position: number): number {
  return atLeastOne(fs.readSync(file, buffer, 0, length, position), position)
}

function atLeastOne(bytesRead: number, position: number): number {
  if (bytesRead === 0) throw new Error(`the file is damaged: it ends after ${position} bytes, and more were expected`)
  return bytesRead
}

export async function writeWhole(file: Descriptor, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await write(file, bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
