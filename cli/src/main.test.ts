import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { variables } from '@berth/server/config/env.ts'
import { run } from '../test/run.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-cli-'))
after(() => rmSync(folder, { recursive: true }))
const program = join(import.meta.dirname, 'main.ts')

function berth(args: readonly string[], env: Record<string, string> = {}) {
  const { PATH = '', NODE_COMPILE_CACHE = '' } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    env: { PATH, NODE_COMPILE_CACHE, ...env },
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

suite('the command line', () => {
  test('lists its commands, and the settings of start with variables and defaults', () => {
    const { status, stdout } = berth(['--help'])
    assert.equal(status, 0)
    for (const command of ['start', 'trust', 'hosts', 'password', 'token', 'registry'])
      assert.match(stdout, new RegExp(`^  ${command} `, 'm'))
    const help = berth(['start', '--help']).stdout
    for (const name of Object.keys(variables)) assert.match(help, new RegExp(`--${name} [<[]`))
  })

  test('tells its version', () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
    assert.deepEqual(berth(['--version']), { status: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('ends with 2 and a sentence for a wrong command line', async (t) => {
    const { status, stderr } = berth(['strat'])
    assert.equal(status, 2)
    assert.match(stderr, /^error: unknown command 'strat'\n/)
    for (const args of [
      ['start', '--prot', '1'],
      ['start', '--port'],
      ['start', 'now'],
    ]) {
      const said = await run(t, args)
      assert.equal(said.code, 2, args.join(' '))
      assert.match(said.stderr, /^error: .+/)
      assert.doesNotMatch(said.stderr, /\n +at /)
    }
  })

  test('ends with 2 and every mistake of the configuration', () => {
    const { status, stderr } = berth(['start', '--port', 'x'], { BERTH_WORKERS: '0' })
    assert.deepEqual(
      [status, stderr.split('\n')],
      [
        2,
        [
          'berth: the configuration has 2 mistakes:',
          '  --port: must be a whole number from 0 to 65535',
          '  BERTH_WORKERS: must be a whole number from 1 to 64',
          '',
        ],
      ],
    )
  })

  test('says a single mistake in a single line', async (t) => {
    const { stderr } = await run(t, ['start', '--port', 'x'])
    assert.equal(stderr, 'berth: --port: must be a whole number from 0 to 65535\n')
  })

  test('trust ends with 1 and a sentence before there is an authority', async (t) => {
    const { code, stderr } = await run(t, ['trust', '--data', folder])
    assert.equal(code, 1)
    assert.match(stderr, /^berth: there is no readable .*ca\.pem: the first `npm start` makes it\n$/)
  })
})
