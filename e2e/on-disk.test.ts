/** Route tests run on memory; here all of them run once more on the file and the folder that a server really uses. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { repositoryFolder } from './clients/folders.ts'

test('every route test passes on a database file and a blob folder too', { timeout: 300_000 }, (t) => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const { status, stdout } = spawnSync(
    process.execPath,
    ['--test', '--test-concurrency=1', '--test-reporter=tap', 'server/src/planes/**/*.test.ts'],
    { cwd: repositoryFolder, env: { ...env, BERTH_TEST_STORAGE: 'disk' }, encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(stdout)?.[1])
  t.diagnostic(`${count('pass')} passed, ${count('fail')} failed`)
  assert.equal(
    status,
    0,
    stdout
      .split('\n')
      .filter((line) => /^\s*not ok/.test(line))
      .join('\n'),
  )
  assert.ok(count('pass') > 400, 'the route tests were not found')
})
