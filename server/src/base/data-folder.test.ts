import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { noDataFolder } from './data-folder.ts'

suite('whether a folder is a server’s', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-data-folder-'))
  after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'berth.db')
  const none = (path: string) => `${path} is not the data folder of a server; name it with --data`

  test('the file is there, or it is not', () => {
    assert.equal(noDataFolder(folder, file), none(folder))
    assert.equal(noDataFolder('/dev/null', '/dev/null/berth.db'), none('/dev/null'))
    writeFileSync(file, '')
    assert.equal(noDataFolder(folder, file), undefined)
  })

  test('it may not be read › says that, and not that there is none', () => {
    // The real thing does not happen to an administrator, who may be running this.
    const access = () => {
      throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
    }
    assert.equal(noDataFolder(folder, file, access), `${folder} cannot be read (EACCES): the user of its server may`)
  })
})
