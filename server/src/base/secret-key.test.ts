import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { createSecret, loadKeys } from './secret-key.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-key-'))
  file = join(folder, 'secret.key')
})
afterEach(() => rm(folder, { recursive: true }))

describe('master secret', () => {
  test('is made once, for its owner alone, and is the same from then on', async () => {
    await createSecret(file)
    const first = await loadKeys(file)
    await createSecret(file)
    assert.match(await readFile(file, 'utf8'), /^[0-9a-f]{64}\n$/)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.deepEqual(await loadKeys(file), first)
  })

  test('one that is there is taken without touching its folder, which may be read-only', async () => {
    await createSecret(file)
    const { mtimeNs } = await stat(folder, { bigint: true })
    await createSecret(file)
    assert.equal((await stat(folder, { bigint: true })).mtimeNs, mtimeNs)
  })

  test('processes that start together get the same keys', async () => {
    const [one, ...others] = await Promise.all(
      Array.from({ length: 8 }, async () => {
        await createSecret(file)
        return loadKeys(file)
      }),
    )
    for (const other of others) assert.deepEqual(other, one)
  })

  test('gives a key of its own to each purpose, none of them the secret itself', async () => {
    await createSecret(file)
    const { seal, uploadSessions } = await loadKeys(file)
    const secret = Buffer.from((await readFile(file, 'utf8')).trim(), 'hex')
    assert.equal(seal.length, 32)
    assert.notDeepEqual(seal, uploadSessions)
    assert.ok(!secret.equals(seal) && !secret.equals(uploadSessions))
  })

  test('the keys of a known secret never change: data that was sealed must open after an update', async () => {
    await writeFile(file, '00'.repeat(32))
    const { seal, uploadSessions } = await loadKeys(file)
    assert.equal(Buffer.from(seal).toString('hex'), '6d64f51dba5abca872d538f37a6280009269a05a7493e41b7fa0238ac0a734ed')
    assert.equal(
      Buffer.from(uploadSessions).toString('hex'),
      '97ad6845998ac01af36868220f53ca2dcfda367c025b1c3eb02a69ea4b3f4aa6',
    )
  })

  test('is never made by the way: a missing one is an error that names the file', async () => {
    await assert.rejects(loadKeys(file), /secret\.key cannot be read \(ENOENT\): it seals the secrets/)
  })

  for (const text of ['', '00'.repeat(31), `${'00'.repeat(31)}0g`, '00'.repeat(33), 'AB'.repeat(32)]) {
    test(`a file of "${text.slice(0, 8)}…" (${text.length} characters) is refused and kept`, async () => {
      await writeFile(file, text)
      await assert.rejects(loadKeys(file), /does not hold a key of 64 hexadecimal digits/)
      assert.equal(await readFile(file, 'utf8'), text)
    })
  }
})
