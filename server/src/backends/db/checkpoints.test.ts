import assert from 'node:assert/strict'
import { closeSync, copyFileSync, mkdtempSync, openSync, readSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { startCheckpoints } from './checkpoints.ts'
import { addBlob } from './database.contract.ts'
import { openSqlite } from './sqlite.ts'

const told = { onFailure: assert.ifError, onBroken: assert.ifError }

/** Commits without a pause until it is ended, two pages and more each. */
const writer = `
  const { DatabaseSync } = require('node:sqlite')
  const { workerData } = require('node:worker_threads')
  const database = new DatabaseSync(workerData, { timeout: 10_000 })
  database.exec('PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0')
  const insert = database.prepare("insert into blobs (digest, size, created_at, scrubbed_at) values (?, 1, 'then', 'then')")
  for (;;) insert.run(Math.random().toString())`

suite('checkpoints', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'berth-checkpoints-'))
  })
  after(() => rmSync(folder, { recursive: true }))

  test('begin a log anew to which somebody always writes', async (t) => {
    const file = join(folder, 'busy.db')
    const db = await openSqlite({ file, ownCheckpoints: false })
    const busy = new Worker(writer, { eval: true, workerData: file })
    t.after(() => busy.terminate())
    const checkpoints = startCheckpoints({ file, everyMs: 5, restartPages: 200, ...told })
    for (const deadline = performance.now() + 60_000; beginningsOfLog(file) < 5; await pause(5)) {
      assert.ok(performance.now() < deadline, `${beginningsOfLog(file)} of 5`)
    }
    await busy.terminate()
    await checkpoints.stop()
    await db.dispose()
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

  /** https://www.sqlite.org/fileformat2.html#the_write_ahead_log, "WAL Header Format", the checkpoint sequence number */
  function beginningsOfLog(file: string): number {
    const header = Buffer.alloc(16)
    const log = openSync(`${file}-wal`, 'r')
    readSync(log, header)
    closeSync(log)
    return header.readUInt32BE(12)
  }

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
