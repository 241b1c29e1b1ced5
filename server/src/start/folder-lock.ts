/** One server a data folder. */
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { sqliteCodeOf, sqliteCodes } from '../backends/db/sqlite-errors.ts'

export interface FolderLock {
  release(): void
}

/**
 * Takes the folder for this process and its workers; undefined when another server has it. The operating system holds the
 * lock (on an otherwise empty SQLite file), so that it falls free however the process ends.
 */
export function lockFolder(file: string): FolderLock | undefined {
  closeSync(openSync(file, 'a', 0o600)) // for others, even a shared lock would be one too many
  const database = new DatabaseSync(file, { timeout: 0 })
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (sqliteCodeOf(error) === sqliteCodes.busy) return undefined
    throw error
  }
  return { release: () => database.close() }
}
