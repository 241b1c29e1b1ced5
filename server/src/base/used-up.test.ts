import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noteUsedUp } from './used-up.ts'

test('what chunks leave behind stays small', async () => {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let i = 0; i < 4_096; i++) {
    const chunk = Buffer.allocUnsafeSlow(65_536)
    noteUsedUp(chunk.length)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    if (i % 64 === 0) await new Promise(setImmediate)
  }
  assert.ok(most < 32 << 20, `${most} bytes of ${4_096 * 65_536} were held`)
})
