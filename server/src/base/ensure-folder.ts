import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from './sync-folder.ts'

/**
 * Makes a folder and those above it, durably and for their owner only; one that is there already stays as it is. Not
 * Node's own `recursive`, which never ends on a file system that answers ENOENT to every mkdir, such as /proc.
 */
export async function ensureFolder(path: string): Promise<void> {
  if (await tryToMake(path)) return
  await ensureFolder(dirname(path))
  if (!(await tryToMake(path))) throw new Error(`${path} cannot be made`)
}

/** Makes it where it is not; false when the folder above is missing. */
async function tryToMake(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return true
    if (code === 'ENOENT' && dirname(path) !== path) return false
    throw error
  }
  await syncFolder(dirname(path))
  return true
}
