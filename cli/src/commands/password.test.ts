import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { prepareFolder, run } from '../../test/run.ts'

const data = mkdtempSync(join(tmpdir(), 'berth-password-'))
after(() => rmSync(data, { recursive: true }))
const { bootstrap } = await prepareFolder(data)
const known = bootstrap?.registry.password

suite('berth password', () => {
  test('prints the password of the first registry, alone on its line', async (t) => {
    assert.deepEqual(await run(t, ['password', '--data', data]), { code: 0, stdout: `${known}\n`, stderr: '' })
    assert.equal((await run(t, ['password', 'BERTH', '--data', data])).stdout, `${known}\n`)
  })

  test('--name chooses the other one; there is no third', async (t) => {
    const other = await run(t, ['password', '--data', data, '--name', 'password2'])
    assert.equal(other.code, 0)
    assert.match(other.stdout, /^\S{20,}\n$/)
    assert.notEqual(other.stdout, `${known}\n`)
    const third = await run(t, ['password', '--data', data, '--name', 'password3'])
    assert.deepEqual(third, { code: 2, stdout: '', stderr: 'berth: --name: must be password or password2\n' })
  })

  test('--renew replaces one and leaves the other', async (t) => {
    const ask = async (...args: string[]) => (await run(t, ['password', '--data', data, ...args])).stdout
    const before = [await ask(), await ask('--name', 'password2')]
    const renewed = await ask('--name', 'password2', '--renew')
    assert.notEqual(renewed, before[1])
    assert.deepEqual([await ask(), await ask('--name', 'password2')], [before[0], renewed])
  })

  test('of an unknown registry › a sentence, exit code 1', async (t) => {
    const sentence = 'berth: there is no registry named nobody; `berth registry` lists them\n'
    for (const flags of [[], ['--renew']]) {
      const said = await run(t, ['password', 'nobody', '--data', data, ...flags])
      assert.deepEqual(said, { code: 1, stdout: '', stderr: sentence })
    }
  })

  test('where no server was ever started › a sentence, exit code 1, and nothing is made', async (t) => {
    const empty = join(data, 'nothing')
    const said = await run(t, ['password', '--data', empty])
    const stderr = `berth: ${empty} is not the data folder of a server; name it with --data\n`
    assert.deepEqual(said, { code: 1, stdout: '', stderr })
  })
})
