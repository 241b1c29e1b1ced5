/** What a data folder has besides database and blobs: keys, certificates, addresses. */
import { copyFile, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ensureFolder } from '../base/ensure-folder.ts'
import { syncFolder } from '../base/sync-folder.ts'

const folders = ['.', 'tls']
/** Of the top; of the certificates, none is of use without its key. */
const secret = /^(?:secret\.key|bootstrap\.json)$/
/** Belongs to one folder and must not be copied to another. */
const own = /^(?:berth\.lock|backup\.json)$/
/** On its way to its name (base/write-once.ts); or ours, after a crash. */
const temporary = /\.(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|new)$/

export interface SmallFilesOptions {
  /** Left alone, with all that begins like it. */
  readonly database: string
  readonly withSecrets: boolean
}

/**
 * Copies the files at the top of a data folder, and its certificates, with their modes; and removes from the target what
 * is not wanted there any more: the operator may have put a secret away.
 */
export async function mirrorSmallFiles(
  from: string,
  to: string,
  { database, withSecrets }: SmallFilesOptions,
): Promise<void> {
  for (const folder of folders) {
    const isOurs = (name: string) => !own.test(name) && !temporary.test(name) && !name.startsWith(database)
    const isWanted = (name: string) => withSecrets || (folder === '.' && !secret.test(name))
    const wanted = (await filesIn(join(from, folder))).filter((name) => isOurs(name) && isWanted(name))
    const present = (await filesIn(join(to, folder))).filter(isOurs)
    if (wanted.length > 0) await ensureFolder(join(to, folder))
    for (const name of wanted) await copyWhole(join(from, folder, name), join(to, folder, name))
    for (const name of present) if (!wanted.includes(name)) await rm(join(to, folder, name))
  }
}

/** Also those that are links to files: the operator may keep a key elsewhere. */
async function filesIn(folder: string): Promise<string[]> {
  const names = (await unlessMissing(readdir(folder))) ?? []
  const files = await Promise.all(
    names.map(async (name) => ((await unlessMissing(stat(join(folder, name))))?.isFile() ? [name] : [])),
  )
  return files.flat()
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function copyWhole(source: string, target: string): Promise<void> {
  const part = `${target}.new`
  await copyFile(source, part)
  const handle = await open(part, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(part, target)
  await syncFolder(dirname(target))
}
