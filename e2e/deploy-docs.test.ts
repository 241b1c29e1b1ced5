/** docs/operations.md, where it names what the program has: metrics, commands, flags and variables. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { repositoryFolder } from './clients/folders.ts'
import { fetchOnce, runBerth, startProgram } from './program.ts'
import { temporaryFolder } from './temporary-folder.ts'

const page = readFileSync(join(repositoryFolder, 'docs', 'operations.md'), 'utf8')
const matches = (text: string, pattern: RegExp) => new Set(Array.from(text.matchAll(pattern), ([, name]) => name ?? ''))

describe('docs/operations.md', () => {
  let commands: ReadonlySet<string>
  before(async () => {
    commands = matches((await runBerth(['--help'])).stdout, /^ {2}([a-z-]+) /gm)
  })

  test('names every metric of Berth, and no other', async () => {
    await using home = await temporaryFolder('metrics')
    await using program = await startProgram({ dataFolder: home.folder, flags: ['--workers', '1'] })
    const { body } = await fetchOnce(`http://127.0.0.1:${program.port}/metrics`)
    const metrics = body.toString('utf8')
    const served = matches(metrics, /^# TYPE (berth_\w+) /gm)
    assert.deepEqual([...matches(page, /(berth_\w+)/g)].sort(), [...served].sort())
    for (const name of matches(page, /((?:process|nodejs)_\w+)/g)) assert.match(metrics, new RegExp(`^${name} `, 'm'))
  })

  test('names commands that there are', () => {
    const named = matches(page, /(?:`|^|exec berth |exec berth-\d )berth ([a-z][a-z-]+)/gm)
    assert.ok(named.size >= 8, [...named].join())
    // The page says no more of it than what it will do.
    const toCome = new Set(['migrate'])
    assert.deepEqual(
      [...named].filter((name) => !commands.has(name) && !toCome.has(name)),
      [],
    )
  })

  test('names flags that start or a command has', async () => {
    const help = await Promise.all([...commands].map(async (name) => (await runBerth([name, '--help'])).stdout))
    const known = matches(help.join('\n'), /(?:^ {2}|, )(--[a-z-]+)/gm)
    const ours = matches(page, /`(--[a-z-]+)/g)
    const others = new Set(['--env', '--build-arg'])
    assert.deepEqual(
      [...ours].filter((flag) => !known.has(flag) && !others.has(flag)),
      [],
    )
  })
})
