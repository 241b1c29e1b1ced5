/** A real file system that is soon full, mounted over a folder. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** `tmpfs`: in memory, refuses a write at once. `ext4`: on a loop device, as most servers have it. */
export type DiskKind = 'tmpfs' | 'ext4'

export interface SmallDisk extends Disposable {
  /** Writes until only so many bytes are free, or a little less. */
  fill(leaveBytes: number): void
  /** Takes that away again. */
  makeRoom(): void
  freeBytes(): number
}

/** Why there is no disk: a sentence for whoever skips. */
export class DiskRefused extends Error {}

/**
 * folder: made when it is not there, for its owner only. parent: where the image of an ext4 lies. Throws `DiskRefused` where
 * the system does not let us mount.
 */
export function mountSmallDisk(kind: DiskKind, folder: string, parent: string, mebibytes: number): SmallDisk {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  try {
    if (kind === 'tmpfs') run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', folder)
    else mountImage(join(parent, 'disk.img'), folder, mebibytes)
  } catch (error) {
    throw new DiskRefused(`a full disk needs the right to mount a ${kind}, and ${(error as Error).message.trim()}`)
  }
  const filler = join(folder, 'filler')
  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  }
  return {
    fill: (leaveBytes) => writeFiller(filler, () => freeBytes() - leaveBytes),
    makeRoom: () => rmSync(filler, { force: true }),
    freeBytes,
    // Lazily, because files may still be open after a failure, which is the one to tell.
    [Symbol.dispose]: () => run('umount', '--lazy', folder),
  }
}

function mountImage(image: string, folder: string, mebibytes: number): void {
  closeSync(openSync(image, 'w'))
  truncateSync(image, mebibytes * 1024 * 1024)
  run('mkfs.ext4', '-q', '-m', '0', image)
  run('mount', '-o', 'loop', image, folder)
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

const largestWrite = 256 * 1024
const smallestWrite = 512

/** In ever smaller pieces, to the last byte that the file system gives. */
function writeFiller(path: string, missing: () => number): void {
  const file = openSync(path, 'a')
  try {
    for (let piece = largestWrite; piece >= smallestWrite; piece /= 2) {
      while (missing() >= piece && written(file, piece));
    }
  } finally {
    closeSync(file)
  }
}

function written(file: number, bytes: number): boolean {
  try {
    return writeSync(file, new Uint8Array(bytes)) > 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}
