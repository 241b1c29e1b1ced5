import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { prepareFolder, run } from '../../test/run.ts'

const data = mkdtempSync(join(tmpdir(), 'berth-registry-'))
after(() => rmSync(data, { recursive: true }))
await prepareFolder(data)

const first = 'berth  Premium  admin-user=on  anonymous-pull=off  sparse-manifests=on\n'

suite('berth registry', () => {
  test('lists the registries with their switches', async (t) => {
    assert.deepEqual(await run(t, ['registry', '--data', data]), { code: 0, stdout: first, stderr: '' })
  })

  test('shows one, by its name in any case', async (t) => {
    for (const name of ['berth', 'Berth'])
      assert.equal((await run(t, ['registry', name, '--data', data])).stdout, first)
  })

  test('turns switches on and off, those that are named and no others', async (t) => {
    const change = async (...flags: string[]) => (await run(t, ['registry', 'berth', '--data', data, ...flags])).stdout
    const changed = await change('--anonymous-pull', 'on', '--admin-user', 'off')
    assert.equal(changed, 'berth  Premium  admin-user=off  anonymous-pull=on  sparse-manifests=on\n')
    assert.equal((await run(t, ['registry', '--data', data])).stdout, changed, 'it is kept')
    assert.equal(await change('--anonymous-pull', 'off', '--admin-user', 'on'), first)
  })

  test('a value that is neither on nor off, or a change without a name › a sentence, exit code 2', async (t) => {
    const wrong = await run(t, ['registry', 'berth', '--data', data, '--anonymous-pull', 'maybe'])
    assert.deepEqual(wrong, { code: 2, stdout: '', stderr: 'berth: --anonymous-pull: must be on or off\n' })
    const nameless = await run(t, ['registry', '--data', data, '--anonymous-pull', 'on'])
    assert.deepEqual(nameless, { code: 2, stdout: '', stderr: 'berth: name the registry to change\n' })
    assert.equal((await run(t, ['registry', '--data', data])).stdout, first, 'nothing was changed')
  })

  test('an unknown registry › a sentence, exit code 1', async (t) => {
    const stderr = 'berth: there is no registry named nobody; `berth registry` lists them\n'
    for (const flags of [[], ['--admin-user', 'off']]) {
      assert.deepEqual(await run(t, ['registry', 'nobody', '--data', data, ...flags]), { code: 1, stdout: '', stderr })
    }
  })
})
