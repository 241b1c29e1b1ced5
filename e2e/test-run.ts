/** A run of the test runner inside a test: tests that pass beside their sources, once more under other circumstances. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'
import { repositoryFolder } from './clients/folders.ts'

/**
 * Fails with the tests that failed and why, or when no more than `moreThan` passed: then they were not found.
 * files: paths or patterns from the root. wrapper: a script that runs the command behind it.
 */
export function runRouteTests(
  t: TestContext,
  files: readonly string[],
  { env, moreThan, wrapper = [] }: TestRun,
): void {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const { status, stdout } = spawnSync(
    process.execPath,
    [...wrapper, '--test', '--test-concurrency=1', '--test-reporter=tap', ...files],
    { cwd: repositoryFolder, env: { ...inherited, ...env }, encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(stdout)?.[1])
  t.diagnostic(`${count('pass')} passed, ${count('fail')} failed`)
  // Each with what the runner says of it, a block of YAML.
  const failed = stdout.match(/^( *)not ok .*\n(?:\1 {2}---\n[\s\S]*?\n\1 {2}\.\.\.$)?/gm) ?? []
  assert.equal(status, 0, failed.join('\n'))
  assert.ok(count('pass') > moreThan, 'the route tests were not found')
}

interface TestRun {
  /** Besides this process's own. */
  readonly env: Readonly<Record<string, string>>
  readonly moreThan: number
  readonly wrapper?: readonly string[]
}
