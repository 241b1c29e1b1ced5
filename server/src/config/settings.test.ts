import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { variables } from './env.ts'
import { formatSettings, settingNames } from './settings.ts'

suite('settings', () => {
  test('a variable is called as its flag, in capitals after BERTH_', () => {
    for (const name of settingNames) assert.equal(variables[name], `BERTH_${name.toUpperCase().replaceAll('-', '_')}`)
  })

  test('the documentation has a row for every setting', () => {
    const rows = formatSettings().split('\n').slice(2)
    assert.deepEqual(
      rows.map((row) => /^\| `--([a-z-]+) /.exec(row)?.[1]),
      settingNames,
    )
  })
})
