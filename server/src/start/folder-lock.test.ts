import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { lockFolder } from './folder-lock.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-lock-'))
after(() => rmSync(folder, { recursive: true }))

/** Another process that takes the lock, says whether it could, and keeps it until it is killed. */
async function anotherTakes(file: string): Promise<{ taken: boolean; process: ChildProcess }> {
  const script = `
    const { lockFolder } = await import(${JSON.stringify(import.meta.resolve('./folder-lock.ts'))})
    globalThis.lock = lockFolder(${JSON.stringify(file)})
    console.log(lock === undefined ? 'refused' : 'taken')
    setInterval(() => {}, 1000)`
  const process_ = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(process_.stdout, 'data')) as [Buffer]
  return { taken: said.toString() === 'taken\n', process: process_ }
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

suite('the lock of a data folder', () => {
  test('refuses a second taker, and is free again after its release', () => {
    const file = join(folder, 'same-process')
    const first = lockFolder(file)
    assert.ok(first)
    assert.equal(lockFolder(file), undefined)
    assert.equal(lockFolder(file), undefined, 'a refused try takes nothing away')
    first.release()
    const second = lockFolder(file)
    assert.ok(second)
    second.release()
  })

  test('refuses another process', async (t) => {
    const file = join(folder, 'other-process')
    const lock = lockFolder(file)
    const refused = await anotherTakes(file)
    t.after(() => kill(refused.process))
    assert.equal(refused.taken, false)
    lock?.release()
    const allowed = await anotherTakes(file)
    t.after(() => kill(allowed.process))
    assert.equal(allowed.taken, true)
  })

  test('falls free when its holder is killed', async () => {
    const file = join(folder, 'killed')
    const holder = await anotherTakes(file)
    assert.equal(lockFolder(file), undefined)
    await kill(holder.process)
    const lock = lockFolder(file)
    assert.ok(lock)
    lock.release()
  })

  test('is an error, not a refusal, where its file cannot be', () => {
    assert.throws(() => lockFolder(join(folder, 'no such folder', 'lock')), /ENOENT|unable to open database file/)
  })
})
