import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findPassword } from './passfile.ts'

describe('passfile', () => {
  let folder: string
  let file: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-passfile-'))
    file = join(folder, 'pgpass')
  })
  after(() => rm(folder, { recursive: true }))

  const wanted = { host: 'db.example.com', port: 5432, database: 'berth', user: 'berth' }
  const find = async (lines: readonly string[], changes: Partial<typeof wanted> = {}) => {
    await writeFile(file, lines.join('\n'), { mode: 0o600 })
    return findPassword(file, { ...wanted, ...changes })
  }

  test('the first line that fits in every field has the password', async () => {
    const lines = [
      '# db.example.com:5432:berth:berth:comment',
      'other:5432:berth:berth:1',
      'db.example.com:5433:berth:berth:2',
      'db.example.com:5432:other:berth:3',
      'db.example.com:5432:berth:other:4',
      'db.example.com:5432:berth:berth:right',
      'db.example.com:5432:berth:berth:late',
    ]
    assert.equal(await find(lines), 'right')
    assert.equal(await find(lines, { port: 5433 }), '2')
    assert.equal(await find(lines, { port: 1 }), undefined)
  })

  test('a star fits everything, and a backslash takes the next character as it is', async () => {
    assert.equal(await find(['*:*:*:*:all']), 'all')
    assert.equal(await find(['\\*:*:*:*:no', '*:*:*:berth:pa\\:ss\\\\wo:rd\r', '']), 'pa:ss\\wo:rd')
    assert.equal(await find(['\\:\\:1:*:*:*:six'], { host: '::1' }), 'six')
  })

  test('a socket is found by its folder or as localhost', async () => {
    assert.equal(await find(['localhost:5432:berth:berth:local'], { host: '/run/postgresql' }), 'local')
    assert.equal(await find(['/run/postgresql:*:*:*:path'], { host: '/run/postgresql' }), 'path')
    assert.equal(await find(['localhost:5432:berth:berth:local']), undefined)
  })

  test('lines that are cut short, and a file that is not there, have none', async () => {
    assert.equal(await find(['db.example.com:5432:berth:berth', '', ':::']), undefined)
    assert.equal(await findPassword(join(folder, 'none'), wanted), undefined)
  })

  test('a file that others may read is refused by its name', {
    skip: process.platform === 'win32' && 'no modes',
  }, async () => {
    await writeFile(file, '*:*:*:*:open')
    await chmod(file, 0o640)
    await assert.rejects(findPassword(file, wanted), /pgpass may be read by others; make it its owner's only/)
    await chmod(file, 0o600)
    assert.equal(await findPassword(file, wanted), 'open')
  })
})
