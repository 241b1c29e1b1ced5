import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startCheckpoints } from './checkpoints.ts'
import { addBlob } from './database.contract.ts'
import type { Database } from './database.ts'
import { openSqlite } from './sqlite.ts'

const pageBytes = 4096

suite('checkpoints by another process', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'berth-checkpoints-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  async function commit(db: Database, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await db.write(addBlob(`sha256:${i}`), { sync: false })
      if (i % 20 === 0) await pause(1)
    }
  }

  /** Pages that the log has room for: it is not cut when it begins anew. */
  const logPages = (file: string) => statSync(`${file}-wal`).size / pageBytes

  test('keep the log of those who always write short, who do none themselves', async () => {
    const file = join(folder, 'busy.db')
    await whileOpen(await openSqlite({ file, ownCheckpoints: false }), async (db) => {
      const failures: unknown[] = []
      const checkpoints = startCheckpoints({ file, everyMs: 5, restartPages: 200, onFailure: (e) => failures.push(e) })
      await commit(db, 1_500)
      checkpoints.stop()
      assert.deepEqual(failures, [])
      assert.ok(logPages(file) < 1_000, `${logPages(file)} pages`)
    })
    await whileOpen(await openSqlite({ file: join(folder, 'alone.db'), ownCheckpoints: false }), async (db) => {
      await commit(db, 1_500)
      assert.ok(logPages(join(folder, 'alone.db')) > 3_000, 'nobody has done any')
    })
  })

  test('leave what was committed where it can be read, also without the log', async () => {
    const file = join(folder, 'moved.db')
    await whileOpen(await openSqlite({ file, ownCheckpoints: false }), async (db) => {
      const checkpoints = startCheckpoints({ file, everyMs: 5, onFailure: (error) => assert.ifError(error) })
      await commit(db, 50)
      const database = new DatabaseSync(file)
      const left = () => {
        const { log, checkpointed } = database.prepare('PRAGMA wal_checkpoint(NOOP)').get() as Record<string, number>
        return Number(log) - Number(checkpointed)
      }
      for (const deadline = performance.now() + 10_000; left() > 0; ) {
        assert.ok(performance.now() < deadline, `${left()} pages are left`)
        await pause(5)
      }
      assert.deepEqual({ ...database.prepare('select count(*) as blobs from blobs').get() }, { blobs: 50 })
      database.close()
      checkpoints.stop()
    })
  })
})

async function whileOpen(db: Database, work: (db: Database) => Promise<void>): Promise<void> {
  try {
    await work(db)
  } finally {
    await db.dispose()
  }
}
