/** Moving what SQLite's log holds into the database, from a process that serves nobody. */
import { DatabaseSync } from 'node:sqlite'
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
  stop(): void
}

/** How long the last part waits for readers, with the write lock in its hands. */
const patienceMs = 50

/**
 * A checkpoint takes as long as its process needs to copy some thousand pages and the disk to sync them, some 40 ms, and whoever
 * commits too much for the log has to do it. Here it is done meanwhile. Nobody waits for that, but a log to which is always
 * written never comes to an end; so a long one is brought to its end under the write lock, when little is left to do.
 * https://www.sqlite.org/wal.html, "Checkpointing"
 */
export function startCheckpoints(options: CheckpointsOptions): Checkpoints {
  const { file, everyMs = 500, restartPages = 8_000 } = options
  let failing = false
  const database = new DatabaseSync(file, { timeout: patienceMs })
  database.exec('PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0')
  const passive = database.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  const restart = database.prepare('PRAGMA wal_checkpoint(RESTART)')
  const timer = setInterval(() => {
    try {
      const { log, checkpointed } = passive.get() as { log: number; checkpointed: number }
      if (log >= restartPages && checkpointed > 0) restart.get()
      failing = false
    } catch (error) {
      tell(error)
    }
  }, everyMs)
  timer.unref()

  function tell(error: unknown): void {
    if (sqliteCodeOf(error) === sqliteCodes.ioError) {
      clearInterval(timer)
      options.onBroken(error)
    } else if (!failing) options.onFailure(error)
    failing = true
  }

  return {
    stop() {
      clearInterval(timer)
      database.close()
    },
  }
}
