import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { recordDisk } from '../../test/disk-record.ts'

const disk = recordDisk()
const { openAuthorityFolder } = await import('./authority-folder.ts')

const home = mkdtempSync(join(tmpdir(), 'berth-authority-folder-'))
after(() => rmSync(home, { recursive: true }))

const onWindows = process.platform === 'win32'

describe('the authority’s folder', () => {
  test('is its owner’s only, and so are the keys in it', { skip: onWindows && 'no modes' }, async () => {
    const path = join(home, 'modes')
    const folder = await openAuthorityFolder(path)
    await folder.writeAuthority({ certificate: 'certificate', key: 'key' })
    await folder.writeServer({ certificate: 'certificate', key: 'key' })
    const modeOf = (name: string) => statSync(join(path, name)).mode & 0o777
    assert.deepEqual(['.', 'ca.key', 'ca.pem', 'server.pem'].map(modeOf), [0o700, 0o600, 0o644, 0o600])
  })

  test('has the key on disk before its certificate', { skip: onWindows && 'folders are not synced' }, async () => {
    const folder = await openAuthorityFolder(join(home, 'order'))
    disk.restart(folder.path)
    await folder.writeAuthority({ certificate: 'certificate', key: 'key' })
    disk.note('written')
    disk.assertOrder([
      'sync ca.key.*',
      'rename ca.key.* -> ca.key',
      'sync .',
      'sync ca.pem.*',
      'rename ca.pem.* -> ca.pem',
      'sync .',
      'written',
    ])
  })
})
