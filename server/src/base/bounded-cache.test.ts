import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BoundedCache } from './bounded-cache.ts'

describe('bounded cache', () => {
  test('forgets what was not used for longest, where reading is using', () => {
    const cache = new BoundedCache<string, number>(2)
    cache.set('a', 1)
    cache.set('b', 2)
    assert.equal(cache.get('a'), 1)
    cache.set('c', 3)
    assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c'), cache.size], [1, undefined, 3, 2])
  })

  test('a value set again replaces the old one and counts once', () => {
    const cache = new BoundedCache<string, number>(2)
    cache.set('a', 1)
    cache.set('b', 2)
    cache.set('a', 3)
    assert.deepEqual([cache.size, cache.get('b'), cache.get('a')], [2, 2, 3])
    cache.set('c', 4)
    assert.equal(cache.get('b'), undefined)
  })

  test('deletes', () => {
    const cache = new BoundedCache<string, number>(2)
    cache.set('a', 1)
    cache.delete('a')
    cache.delete('b')
    assert.deepEqual([cache.size, cache.get('a')], [0, undefined])
  })

  test('does as a list would in which what is used goes to the end', () => {
    const cache = new BoundedCache<number, number>(4)
    let model: number[] = []
    let seed = 1
    const random = (below: number) => {
      seed = (seed * 48_271) % 0x7fffffff
      return seed % below
    }
    for (let step = 0; step < 5_000; step++) {
      const key = random(7)
      const others = model.filter((other) => other !== key)
      const change = random(3)
      if (change === 0) assert.equal(cache.get(key), model.includes(key) ? key : undefined, `step ${step}`)
      else if (change === 1) cache.set(key, key)
      else cache.delete(key)
      if (change === 1 || (change === 0 && model.includes(key))) model = [...others, key].slice(-4)
      else if (change === 2) model = others
      assert.equal(cache.size, model.length, `step ${step}`)
    }
  })

  test('begins anew when its only entry was deleted', () => {
    const cache = new BoundedCache<number, number>(2)
    cache.set(0, 0)
    cache.delete(0)
    for (let key = 1; key <= 5; key++) cache.set(key, key)
    assert.deepEqual([cache.size, cache.get(3), cache.get(4), cache.get(5)], [2, undefined, 4, 5])
  })

  test('never holds more than its limit', () => {
    const cache = new BoundedCache<number, number>(10)
    for (let index = 0; index < 1_000; index++) {
      cache.set(index, index)
      assert.ok(cache.size <= 10)
    }
    assert.equal(cache.get(999), 999)
  })
})
