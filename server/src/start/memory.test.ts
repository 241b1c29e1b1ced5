import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemCalls } from '../base/system-calls.ts'
import { crowdWatch } from './memory.ts'

test('memory is given back when a crowd has come and when it has gone, and never for a few connections', () => {
  let connections = 10
  let times = 0
  const look = crowdWatch(
    () => connections,
    () => void times++,
  )
  const after = (next: number) => {
    connections = next
    look()
    return times
  }
  assert.deepEqual([after(10), after(259), after(1)], [0, 0, 0])
  assert.deepEqual([after(1_000), after(1_000), after(1_100)], [1, 1, 1])
  assert.deepEqual([after(800), after(12), after(12)], [1, 2, 2])
})

const giveBack = systemCalls()?.giveBackMemory

test('the system gets back what lies between memory in use', {
  skip: giveBack === undefined && 'another system',
}, () => {
  const mebibyte = 1024 * 1024
  const resident = () => process.memoryUsage.rss()
  const kept: Buffer[] = []
  const freed: Buffer[] = []
  for (let count = 0; count < 2_000; count++) {
    freed.push(Buffer.allocUnsafeSlow(32 * 1024).fill(1))
    kept.push(Buffer.allocUnsafeSlow(1024).fill(1))
  }
  for (const { buffer } of freed) (buffer as ArrayBuffer).transfer(0)
  const before = resident()
  giveBack?.()
  const given = (before - resident()) / mebibyte
  assert(given > 30, `${given} MiB of 62`)
  assert.equal(kept.length, 2_000)
})
