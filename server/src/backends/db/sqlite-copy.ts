/** A copy of a SQLite file, as of one moment, while servers read and write it. */
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { diskFull } from '../../base/disk-full.ts'
import { syncFolder } from '../../base/sync-folder.ts'
import { sqliteCodeOf, sqliteCodes } from './sqlite-errors.ts'

/** The message names the file. */
export class DamagedDatabase extends Error {
  override readonly name = 'DamagedDatabase'
}

/** Beside the file, while somebody has it open; after a crash too. */
const companions = ['-wal', '-shm', '-journal'] as const

/** All pages in one step: between two, a writer would make the copy begin anew, for ever on a busy server. */
const allPages = 2 ** 31 - 1
const busyMs = 30_000

/**
 * target: mode 0600 and on the disk when this resolves; what was there before is replaced, and not by a rename.
 * Waits for nobody and keeps no writer waiting; only the log of the original cannot be cut meanwhile.
 * Throws `DamagedDatabase` when SQLite finds the copy, and so the original, to be damaged. Faults: `unavailable` on a full
 * disk.
 */
export async function copySqlite(file: string, target: string): Promise<void> {
  await removeCompanions(target)
  await rm(target, { force: true })
  await (await open(target, 'wx', 0o600)).close()
  try {
    const source = new DatabaseSync(file, { timeout: busyMs })
    try {
      await backup(source, target, { rate: allPages })
    } finally {
      source.close()
    }
    checkWhole(target)
  } catch (error) {
    const code = sqliteCodeOf(error)
    if (code === sqliteCodes.full) throw diskFull(error)
    const isDamage =
      code === sqliteCodes.corrupt || code === sqliteCodes.notADatabase || error instanceof DamagedDatabase
    if (!isDamage) throw error
    throw new DamagedDatabase(`${file} is damaged: ${(error as Error).message}`, { cause: error })
  }
}

/** Puts a copy in the place of another file that nobody has open, durably. */
export async function replaceSqlite(file: string, copy: string): Promise<void> {
  // A log that is left behind would be taken for that of the next file of this name.
  await removeCompanions(file)
  await rename(copy, file)
  await syncFolder(dirname(file))
}

async function removeCompanions(file: string): Promise<void> {
  for (const companion of companions) await rm(file + companion, { force: true })
}

function checkWhole(file: string): void {
  const database = new DatabaseSync(file)
  try {
    const found = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})[0]
    if (found !== 'ok') throw new DamagedDatabase(String(found))
  } finally {
    database.close()
  }
}
