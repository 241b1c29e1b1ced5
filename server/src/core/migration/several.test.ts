import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import { Several } from './several.ts'

const ticks = async () => {
  for (let i = 0; i < 5; i++) await nextTick()
}

suite('several', () => {
  test('as much is under way as the capacity allows, heavy work counting for more', async () => {
    const several = new Several(4)
    const running = new Set<string>()
    const ends = new Map<string, () => void>()
    const work = (name: string) => async () => {
      running.add(name)
      await new Promise<void>((resolve) => ends.set(name, resolve))
      running.delete(name)
    }
    const added = (async () => {
      await several.add(1, work('a'))
      await several.add(2, work('b'))
      await several.add(4, work('heavy'))
      await several.add(1, work('c'))
    })()
    await ticks()
    assert.deepEqual([...running], ['a', 'b'])
    ends.get('a')?.()
    await ticks()
    assert.deepEqual([...running], ['b'])
    ends.get('b')?.()
    await ticks()
    assert.deepEqual([...running], ['heavy'])
    ends.get('heavy')?.()
    await added
    await ticks()
    assert.deepEqual([...running], ['c'])
    ends.get('c')?.()
    await several.end()
    assert.deepEqual([...running], [])
  })

  test('after a failure no more is begun, and the first one is told when all has ended', async () => {
    const several = new Several(2)
    let ended = false
    await several.add(1, async () => {
      await ticks()
      ended = true
      throw new Error('late')
    })
    await several.add(1, async () => {
      throw new Error('first')
    })
    await nextTick()
    await assert.rejects(
      several.add(1, async () => assert.fail('begun')),
      /first/,
    )
    await several.settled()
    assert.ok(ended)
    await assert.rejects(several.end(), /first/)
  })
})
