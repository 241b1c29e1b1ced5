/** What most of a registry's life passes through, once more on PostgreSQL; all tests run on it with `DB=postgres npm test`. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { postgresSkip } from '../server/test/postgres.ts'
import { repositoryFolder } from './clients/folders.ts'

const files = [
  'server/src/planes/distribution/lists.test.ts',
  'server/src/planes/distribution/manifests.test.ts',
  'server/src/planes/distribution/nul-characters.test.ts',
  'server/src/planes/distribution/uploads.test.ts',
  'server/src/core/access/signing-keys.test.ts',
  'server/src/core/directory/founding.test.ts',
  'server/src/core/registry/uploads.test.ts',
]

const isDone = process.env.DB === 'postgres' && 'all of them run on PostgreSQL already'

test('route tests pass on PostgreSQL too', { skip: postgresSkip || isDone, timeout: 600_000 }, (t) => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const wrapper = ['server/test/with-postgres.ts', process.execPath]
  const { status, stdout } = spawnSync(
    process.execPath,
    [...wrapper, '--test', '--test-concurrency=1', '--test-reporter=tap', ...files],
    { cwd: repositoryFolder, env: { ...env, DB: 'postgres' }, encoding: 'utf8', maxBuffer: 1 << 28 },
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
  assert.ok(count('pass') > 150, 'the route tests were not found')
})
