import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const moduleOf = (name: string) => new URL(name, import.meta.url).href

/** A first process whose worker is killed while it prepares. A program of its own: whoever forks workers is their first process. */
const program = `
  import cluster from 'node:cluster'
  import { once } from 'node:events'
  import { silentLog } from '${moduleOf('../base/log.ts')}'
  import { forkWorkers } from '${moduleOf('./workers.ts')}'
  const waiting = forkWorkers(2)
  const [victim] = Object.values(cluster.workers)
  victim.process.kill('SIGKILL')
  await once(cluster, 'exit')
  await waiting.serve({}, silentLog).catch((error) => console.log(error.name, error.message))`

test('a worker that ends while the first process prepares › the start fails, and says how it ended', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-workers-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'program.mjs')
  writeFileSync(file, program)
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 60_000 })
  assert.equal(stdout, 'StartError a worker ended before it listened (SIGKILL)\n')
})
