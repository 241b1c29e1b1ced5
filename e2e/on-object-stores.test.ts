/** Route tests run on memory; here those that move bytes run once more on real object stores. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { azureSkip, s3Skip } from '../server/test/object-stores.ts'
import { repositoryFolder } from './clients/folders.ts'

const files = ['blobs', 'uploads', 'manifests'].map((name) => `server/src/planes/distribution/${name}.test.ts`)

for (const [name, skip] of [
  ['s3', s3Skip],
  ['azure-blob', azureSkip],
] as const) {
  test(`the route tests of blobs, uploads and manifests pass on ${name} too`, { skip, timeout: 300_000 }, (t) => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--test', '--test-concurrency=1', '--test-reporter=tap', ...files],
      { cwd: repositoryFolder, env: { ...env, BLOBS: name }, encoding: 'utf8', maxBuffer: 1 << 28 },
    )
    const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(stdout)?.[1])
    t.diagnostic(`${count('pass')} passed, ${count('fail')} failed`)
    const failed = stdout.split('\n').filter((line) => /^\s*not ok/.test(line))
    assert.equal(status, 0, failed.join('\n'))
    assert.ok(count('pass') > 150, 'the route tests were not found')
  })
}
