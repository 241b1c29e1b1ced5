/** One process at a time in a folder; the lock is a folder too, and its age tells whether its holder still lives. */
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** What is done under the lock takes a fraction of a second. */
const staleMs = 10_000

/** Runs `work` alone among all processes that name the same folder, which must exist. */
export async function withFolderLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const lock = join(folder, '.lock')
  while (!(await tryLock(lock))) await pause(10)
  try {
    return await work()
  } finally {
    await rm(lock, { recursive: true, force: true })
  }
}

async function tryLock(lock: string): Promise<boolean> {
  try {
    await mkdir(lock)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  try {
    const { mtimeMs } = await stat(lock)
    if (Date.now() - mtimeMs > staleMs) {
      const aside = `${lock}.${process.pid}`
      await rename(lock, aside) // only one of those who wait succeeds
      await rm(aside, { recursive: true })
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // else it was released in this moment
  }
  return false
}
