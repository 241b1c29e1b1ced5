import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { startCheckpoints } from './checkpoints.ts'
import { addBlob } from './database.contract.ts'
import { openSqlite } from './sqlite.ts'

const pageBytes = 4096
const told = { onFailure: assert.ifError, onBroken: assert.ifError }

/** Commits without a pause, two pages and more each. */
const writer = `
  const { DatabaseSync } = require('node:sqlite')
  const { workerData } = require('node:worker_threads')
  const database = new DatabaseSync(workerData.file, { timeout: 10_000 })
  database.exec('PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0')
  const insert = database.prepare("insert into blobs (digest, size, created_at, scrubbed_at) values (?, 1, 'then', 'then')")
  for (let i = 0; i < workerData.commits; i++) insert.run(Math.random().toString())
  database.close()`

suite('checkpoints', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'berth-checkpoints-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  /** How many pages the log has grown to beside somebody who always writes. */
  async function longestLog(name: string, restartPages?: number): Promise<number> {
    const file = join(folder, name)
    const db = await openSqlite({ file, ownCheckpoints: false })
    const checkpoints = restartPages && startCheckpoints({ file, everyMs: 5, restartPages, ...told })
    await once(new Worker(writer, { eval: true, workerData: { file, commits: 20_000 } }), 'exit')
    if (checkpoints) await checkpoints.stop()
    // The log is not cut when it begins anew.
    const pages = statSync(`${file}-wal`).size / pageBytes
    await db.dispose()
    return pages
  }

  test('bring a log to its end to which somebody always writes', async () => {
    const all = await longestLog('without')
    assert.ok(all > 40_000, `${all} pages`)
    const most = await longestLog('with', 200)
    assert.ok(most < all / 2, `${most} of ${all} pages`)
  })

  test('leave what was committed where it can be read without the log', async () => {
    const file = join(folder, 'moved.db')
    const db = await openSqlite({ file, ownCheckpoints: false })
    const checkpoints = startCheckpoints({ file, everyMs: 5, ...told })
    for (let i = 0; i < 50; i++) await db.write(addBlob(`sha256:${i}`), { sync: false })
    for (const deadline = performance.now() + 10_000; blobsWithoutLog(file) < 50; await pause(5)) {
      assert.ok(performance.now() < deadline, `${blobsWithoutLog(file)} of 50`)
    }
    await checkpoints.stop()
    await db.dispose()
  })

  test('end, and say so once, when the disk fails one', async () => {
    const file = join(folder, 'broken.db')
    const db = await openSqlite({ file, ownCheckpoints: false })
    const broken: unknown[] = []
    await db.write(addBlob('sha256:1'), { sync: false })
    truncateSync(`${file}-wal`) // what it is to copy can no longer be read
    const checkpoints = startCheckpoints({ ...told, file, everyMs: 5, onBroken: (error) => broken.push(error) })
    for (const deadline = performance.now() + 10_000; broken.length === 0; await pause(5)) {
      assert.ok(performance.now() < deadline, 'nobody was told')
    }
    await pause(50)
    assert.equal(broken.length, 1)
    assert.match(String(broken[0]), /disk I\/O error/)
    await checkpoints.stop()
    await db.dispose()
  })

  function blobsWithoutLog(file: string): number {
    const copy = join(folder, 'copy.db')
    copyFileSync(file, copy)
    const database = new DatabaseSync(copy)
    try {
      return Number(database.prepare('select count(*) as blobs from blobs').get()?.blobs)
    } catch {
      return 0 // copied in the middle of a checkpoint
    } finally {
      database.close()
    }
  }
})
