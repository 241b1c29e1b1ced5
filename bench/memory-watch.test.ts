import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MemoryWatch } from './memory-watch.ts'
import type { Registry, RegistryKind } from './peers/registry.ts'

/** Takes 64 MiB when it is told to, and says so. */
const program = `
  const kept = []
  process.stdout.write('here')
  process.stdin.on('data', () => {
    kept.push(Buffer.alloc(64 << 20, 1))
    process.stdout.write('taken')
  })`

const skip = process.platform === 'linux' ? false : 'reads /proc'

suite('MemoryWatch', { skip }, () => {
  test('keeps the most that a process has held, and the case since which', async () => {
    const child = spawn(process.execPath, ['-e', program], { detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
    try {
      await once(child.stdout, 'data')
      const kind = {} as RegistryKind
      const registry = { kind, group: child.pid } as Registry
      const watch = new MemoryWatch()
      watch.look(registry, 'small')
      const small = watch.mostOf(kind)
      child.stdin.write('take')
      await once(child.stdout, 'data')
      // So that it does not grow by a page between two looks.
      child.kill('SIGSTOP')
      while (!/^State:\tT/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8'))) await nextTurn()
      watch.look(registry, 'large')
      watch.look(registry, 'the same')
      const large = watch.mostOf(kind)
      assert.deepEqual([small.since, large.since], ['small', 'large'])
      assert.ok(small.process > 10, `${small.process} MiB`)
      assert.ok(large.process >= small.process + 60, `${small.process} → ${large.process} MiB`)
      assert.ok(large.together >= large.process)
    } finally {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
})
