/** The folder that a backup is in: `backup.json` says that it is one, and of which server. */
import { readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path'
import { z } from 'zod'
import { ensureFolder } from '../base/ensure-folder.ts'
import { writeWhole } from '../base/write-once.ts'
import { type FolderLock, lockFolder } from '../start/folder-lock.ts'

/** Something that the operator can act on, in a sentence. */
export class BackupError extends Error {
  override readonly name = 'BackupError'
}

const markerSchema = z.object({
  /** Of the server: backups of two must not mix. */
  tenantId: z.string(),
  /** The moment that the backup is of; null while the first one is being made. */
  takenAt: z.string().nullable(),
  blobs: z.number(),
  bytes: z.number(),
  /** How many blobs are named and not there. */
  troubles: z.number(),
})

export type Marker = z.infer<typeof markerSchema>

const markerFile = 'backup.json'
/** What a file system of its own has at its top, and what a first backup leaves that came no further than to the database. */
const nothing = /^(?:lost\+found|berth\.lock(?:-journal)?|berth\.db\.new(?:-\w+)?)$/

export interface BackupFolder extends Disposable {
  readonly path: string
  /** Undefined: it was empty. */
  readonly marker: Marker | undefined
  mark(marker: Marker): Promise<void>
}

/**
 * Takes the folder, which is made where it is not. Throws `BackupError` when it holds anything else, lies in the data
 * folder, or is in use by another backup or by a server.
 */
export async function openBackupFolder(path: string, dataFolder: string): Promise<BackupFolder> {
  const lock = await makeAndTake(path, dataFolder)
  try {
    return {
      path,
      marker: await readMarker(path),
      mark: (marker) => writeWhole(join(path, markerFile), `${JSON.stringify(marker, null, 2)}\n`),
      [Symbol.dispose]: () => lock.release(),
    }
  } catch (error) {
    lock.release()
    throw error
  }
}

async function makeAndTake(path: string, dataFolder: string): Promise<FolderLock> {
  try {
    if (liesIn(await realPathOf(dataFolder), await realPathOf(path)))
      throw new BackupError(`${path} lies in the data folder, and would be lost with it`)
    await ensureFolder(path)
    return await takeFolder(path)
  } catch (error) {
    if (error instanceof BackupError) throw error
    throw new BackupError(`no backup can be in ${path}: ${reasonOf(error as NodeJS.ErrnoException)}`, { cause: error })
  }
}

/** Of what the operator may meet with a folder, in words. */
const reasons: Readonly<Record<string, string>> = {
  ENOTDIR: 'it is not a folder, or below what is none',
  ENOENT: 'it cannot be made there',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
}

/** An error without a code is `ensureFolder`'s own. */
const reasonOf = ({ code = 'ENOENT', message }: NodeJS.ErrnoException): string => reasons[code] ?? message

/** Where a path leads, of which the last names may not be there yet. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error
    return join(await realPathOf(dirname(path)), basename(path))
  }
}

function liesIn(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

async function takeFolder(path: string): Promise<FolderLock> {
  const names = (await readdir(path)).filter((name) => !nothing.test(name))
  if (names.length > 0 && !names.includes(markerFile)) throw new BackupError(`${path} is neither empty nor a backup`)
  const lock = lockFolder(join(path, 'berth.lock'))
  if (lock === undefined) throw new BackupError(`another backup or a server is running on ${path}`)
  return lock
}

async function readMarker(path: string): Promise<Marker | undefined> {
  const file = join(path, markerFile)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return markerSchema.parse(JSON.parse(text))
  } catch (error) {
    throw new BackupError(`${file} is not what a backup writes`, { cause: error })
  }
}
