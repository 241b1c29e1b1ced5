import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import { recordDisk } from '../../test/disk-record.ts'

const disk = recordDisk()
const { ensureFolder } = await import('./ensure-folder.ts')

const home = mkdtempSync(join(tmpdir(), 'berth-folder-'))
after(() => rmSync(home, { recursive: true }))
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(home, 'case-'))
  disk.restart(folder)
})

const onWindows = process.platform === 'win32'

describe('ensuring a folder', () => {
  test('makes it and those above it, for their owner only', { skip: onWindows && 'no modes' }, async () => {
    await ensureFolder(join(folder, 'a/b'))
    for (const path of ['a', 'a/b']) assert.equal(statSync(join(folder, path)).mode & 0o777, 0o700)
  })

  test('makes the name of each made folder durable', { skip: onWindows && 'folders are not synced' }, async () => {
    await ensureFolder(join(folder, 'a/b/c'))
    disk.note('answered')
    disk.assertOrder(['make a', 'sync .', 'make a/b', 'sync a', 'make a/b/c', 'sync a/b', 'answered'])
  })

  test('leaves one that is there alone', async () => {
    await ensureFolder(folder)
    await ensureFolder(folder)
    assert.deepEqual(disk.operations(), ['make .', 'make .'])
  })

  test('ends where a folder cannot be made', { skip: process.platform !== 'linux' && 'needs /proc' }, async () => {
    await assert.rejects(ensureFolder('/proc/none/such'), /cannot be made|ENOENT/)
  })
})
