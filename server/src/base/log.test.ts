import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'

const skip = !existsSync('/dev/full') && 'needs a device that is always full'

/** A process that logs, still does something else afterwards, and ends. */
const program = (format: string) => `
  const { createLog } = await import(${JSON.stringify(join(import.meta.dirname, 'log.ts'))})
  const log = await createLog({ level: 'info', format: '${format}' })
  for (let line = 0; line < 3; line++) {
    log.info({ line }, 'hello')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  log.info({}, 'ending')
  log.flush()
  process.stderr.write('flushed')
  log.info({}, 'ended')
`

suite('log', () => {
  for (const format of ['json', 'pretty']) {
    test(`a full disk › the process goes on, and ends (${format})`, { skip, timeout: 30_000 }, async (t) => {
      const full = openSync('/dev/full', 'w')
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program(format)], {
        stdio: ['ignore', full, 'pipe'],
      })
      t.after(() => child.kill('SIGKILL'))
      closeSync(full)
      let stderr = ''
      child.stderr?.setEncoding('utf8').on('data', (part: string) => {
        stderr += part
      })
      const hung = setTimeout(() => child.kill('SIGKILL'), 10_000)
      const [code] = await once(child, 'close')
      clearTimeout(hung)
      assert.deepEqual([code, stderr], [0, 'flushed'])
    })
  }

  test('lines that are written right before the end are there', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program('json')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let stdout = ''
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      stdout += part
    })
    await once(child, 'close')
    const said = stdout.trim().split('\n')
    assert.deepEqual(
      said.map((line) => JSON.parse(line).msg),
      ['hello', 'hello', 'hello', 'ending', 'ended'],
    )
  })
})
