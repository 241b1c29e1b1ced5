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

  test('never holds more than its limit', () => {
    const cache = new BoundedCache<number, number>(10)
    for (let index = 0; index < 1_000; index++) {
      cache.set(index, index)
      assert.ok(cache.size <= 10)
    }
    assert.equal(cache.get(999), 999)
  })
})
