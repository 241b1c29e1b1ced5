import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { recordDisk } from '../../test/disk-record.ts'

const disk = recordDisk()
const { writeOnce, writeWhole } = await import('./write-once.ts')

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-write-'))
  file = join(folder, 'secret')
  disk.restart(folder)
})
afterEach(() => rm(folder, { recursive: true }))

const notOnWindows = { skip: process.platform === 'win32' && 'folders are not synced' }

describe('writing once', () => {
  test('makes a file that its owner alone may read, and leaves nothing beside it', async () => {
    await writeOnce(file, 'first')
    assert.equal(await readFile(file, 'utf8'), 'first')
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(folder), ['secret'])
  })

  test('leaves a file that is there as it is', async () => {
    await writeOnce(file, 'first')
    await writeOnce(file, 'second')
    assert.equal(await readFile(file, 'utf8'), 'first')
    assert.deepEqual(await readdir(folder), ['secret'])
  })

  test('of many at once one wins, whole', async () => {
    const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000))
    await Promise.all(texts.map((text) => writeOnce(file, text)))
    assert.ok(texts.includes(await readFile(file, 'utf8')))
    assert.deepEqual(await readdir(folder), ['secret'])
  })

  test('the bytes are on disk before the name, and the name before it ends', notOnWindows, async () => {
    await writeOnce(file, 'first')
    disk.note('ended')
    disk.assertOrder(['write secret.*', 'sync secret.*', 'link secret.* -> secret', 'sync .', 'ended'])
  })

  test('the name of a file that another process has just made is on disk before it ends', notOnWindows, async () => {
    await writeFile(file, 'first')
    await writeOnce(file, 'second')
    disk.note('ended')
    disk.assertOrder(['sync .', 'ended'])
  })

  test('fails where there is no folder', async () => {
    await assert.rejects(writeOnce(join(folder, 'none', 'secret'), 'x'), { code: 'ENOENT' })
  })
})

describe('writing whole', () => {
  test('puts the new text in place of the old', async () => {
    await writeWhole(file, 'first')
    await writeWhole(file, 'second')
    assert.equal(await readFile(file, 'utf8'), 'second')
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.deepEqual(await readdir(folder), ['secret'])
  })
  test('gives the file the mode that is asked for, whatever the umask says', async () => {
    const umask = process.umask(0o077)
    try {
      await writeWhole(file, 'for everybody', 0o644)
    } finally {
      process.umask(umask)
    }
    assert.equal((await stat(file)).mode & 0o777, 0o644)
  })

  test('the bytes are on disk before the name, and the name before it ends', notOnWindows, async () => {
    await writeWhole(file, 'first')
    disk.note('ended')
    disk.assertOrder(['write secret.*', 'sync secret.*', 'rename secret.* -> secret', 'sync .', 'ended'])
  })
})
