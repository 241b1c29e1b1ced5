/** Moving what SQLite's log holds into the database, from a process that serves nobody. */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { closeFile, openRecent, syncFile } from '../../base/descriptor.ts'
import { sqliteCodeOf, sqliteCodes } from './sqlite-errors.ts'

export interface CheckpointsOptions {
  /** The database; it must be in WAL mode already. */
  readonly file: string
  readonly everyMs?: number
  /** Pages in the log above which it begins anew. */
  readonly restartPages?: number
  /** Called with what a checkpoint failed with, such as a full disk, once until one succeeds; the next one tries again. */
  readonly onFailure: (error: unknown) => void
  /**
   * Called once, when the disk has failed to keep the database: there are no more checkpoints, and every process that has
   * it open should end before it is opened anew. A sync that is tried again would succeed without what was lost.
   */
  readonly onBroken: (error: unknown) => void
}

export interface Checkpoints {
  /** Also closes the database. */
  stop(): Promise<void>
}

/** How long the last part waits for readers, with the write lock in its hands; the second one for a log that got too long. */
const patienceMs = { usual: 3, late: 50 }

/**
 * A checkpoint takes as long as its process needs to copy some thousand pages and the disk to sync them, some 40 ms, and whoever
 * commits too much for the log has to do it. Here it is done meanwhile. Nobody waits for that, but a log to which is always
 * written never comes to an end; so a long one is brought to its end under the write lock, when little is left to do: the
 * pages are on the disk by then but for the last few, or that sync alone would keep every writer waiting for 15 ms.
 * https://www.sqlite.org/wal.html, "Checkpointing"
 */
export function startCheckpoints(options: CheckpointsOptions): Checkpoints {
  const { file, everyMs = 500, restartPages = 8_000 } = options
  const database = new DatabaseSync(file)
  database.exec('PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0')
  const passive = database.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  const restart = database.prepare('PRAGMA wal_checkpoint(RESTART)')
  // Closed after SQLite's own: to close any descriptor of a file gives up all locks that the process has on it.
  const pages = openRecent(file, 'r+')
  const ending = new AbortController()

  const untilNext = () => pause(everyMs, true, { ref: false, signal: ending.signal }).catch(() => false)

  async function run(): Promise<void> {
    let failing = false
    while (await untilNext()) {
      try {
        await checkpoint()
        failing = false
      } catch (error) {
        if (isOfTheDisk(error)) return options.onBroken(error)
        if (!failing) options.onFailure(error)
        failing = true
      }
    }
  }

  async function checkpoint(): Promise<void> {
    const { log, checkpointed } = passive.get() as { log: number; checkpointed: number }
    if (log < restartPages || checkpointed <= 0) return
    await syncFile(pages)
    passive.get()
    database.exec(`PRAGMA busy_timeout=${log < 2 * restartPages ? patienceMs.usual : patienceMs.late}`)
    restart.get()
  }

  const ended = run()
  return {
    async stop() {
      ending.abort()
      await ended
      database.close()
      closeFile(pages)
    },
  }
}

/** What is not SQLite's error is that of our own sync, which SQLite's next one would meet too. */
function isOfTheDisk(error: unknown): boolean {
  const code = sqliteCodeOf(error)
  return code === undefined || code === sqliteCodes.ioError
}
