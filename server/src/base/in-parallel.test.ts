import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inParallel } from './in-parallel.ts'

suite('in parallel', () => {
  test('results are in the order of the items, and no more are under way than allowed', async () => {
    let [underWay, most] = [0, 0]
    const results = await inParallel([5, 1, 4, 2, 3], 2, async (turns) => {
      most = Math.max(most, ++underWay)
      for (let turn = 0; turn < turns; turn++) await nextTurn()
      underWay--
      return turns * 10
    })
    assert.deepEqual([results, most], [[50, 10, 40, 20, 30], 2])
  })

  test('after a failure no more is begun, and what is under way has ended when it is told', async () => {
    const begun: number[] = []
    let ended = false
    const working = inParallel([1, 2, 3, 4], 2, async (item) => {
      begun.push(item)
      if (item === 1) throw new Error('no space')
      for (let turn = 0; turn < 10; turn++) await nextTurn()
      ended = true
    })
    await assert.rejects(working, /no space/)
    assert.deepEqual([begun, ended], [[1, 2], true])
  })

  test('of nothing is nothing', async () => {
    assert.deepEqual(await inParallel([], 4, assert.fail), [])
  })
})
