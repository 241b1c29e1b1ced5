import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PartBuffers } from './part-buffers.ts'

const open = (budgetBytes = 100) => new PartBuffers({ smallBytes: 10, partBytes: 40, budgetBytes, patienceMs: 20 })
const idle = { spill: () => undefined }

describe('part buffers', () => {
  test('are used again', async () => {
    const buffers = open()
    const first = await buffers.take(40, idle)
    buffers.give(first)
    assert.equal(await buffers.take(40, idle), first)
    assert.throws(() => {
      buffers.give(first)
      buffers.give(first)
    }, /given back twice/)
  })

  test('never exceed the budget, and callers are served in the order they came', async () => {
    const buffers = open()
    const held = [await buffers.take(40, idle), await buffers.take(40, idle)]
    assert.equal(buffers.takeFree(40, idle), undefined)
    const served: string[] = []
    const large = buffers.take(40, idle).then((buffer) => {
      served.push('large')
      return buffer
    })
    // There would be room for it; but then large ones might wait for ever.
    const small = buffers.take(10, idle).then((buffer) => {
      served.push('small')
      return buffer
    })
    assert.equal(buffers.takeFree(10, idle), undefined)
    await new Promise(setImmediate)
    assert.deepEqual(served, [])
    buffers.give(held[0]!)
    await Promise.all([large, small])
    assert.deepEqual(served, ['large', 'small'])
    buffers.give(held[1]!)
    buffers.give(await large)
    buffers.give(await small)
    assert.ok(buffers.takeFree(40, idle))
  })

  test('whoever fills one for longest is asked to give it back while others wait', async () => {
    const buffers = open(50)
    const asked: string[] = []
    const held = new Map<string, Buffer>()
    const holder = (name: string) => ({
      spill: () => {
        asked.push(name)
        const buffer = held.get(name)
        held.delete(name)
        if (buffer) buffers.give(buffer)
      },
    })
    held.set('old', await buffers.take(40, holder('old')))
    held.set('new', await buffers.take(10, holder('new')))
    const waited = await buffers.take(40, idle)
    assert.deepEqual(asked, ['old'])
    assert.equal(waited.length, 40)
  })

  test('nobody is asked while there is room', async () => {
    const buffers = open()
    let asked = 0
    const buffer = await buffers.take(40, { spill: () => asked++ })
    const other = await buffers.take(40, idle)
    await new Promise((resolve) => setTimeout(resolve, 60))
    buffers.give(buffer)
    buffers.give(other)
    assert.equal(asked, 0)
  })
})
