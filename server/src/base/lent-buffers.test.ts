import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from './buffer-pool.ts'
import { LentBuffers } from './lent-buffers.ts'

test('the first get large buffers, the others small ones, and who comes once a large one is back gets that', () => {
  const buffers = new LentBuffers(new BufferPool(256, 1), new BufferPool(64, 1), 2)
  const lent = Array.from({ length: 4 }, () => buffers.take())
  assert.deepEqual(
    lent.map(({ length }) => length),
    [256, 256, 64, 64],
  )
  assert.equal(buffers.takeLarge(), undefined)

  buffers.give(lent[3]!)
  assert.equal(buffers.take(), lent[3])
  buffers.give(lent[0]!)
  assert.equal(buffers.take(), lent[0])
  assert.equal(buffers.take().length, 64)
})
