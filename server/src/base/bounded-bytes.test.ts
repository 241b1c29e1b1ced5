import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BoundedBytes } from './bounded-bytes.ts'

/** Of 1,000 bytes, besides what every entry costs. */
const content = () => new Uint8Array(1_000)

describe('bounded bytes', () => {
  test('keep what fits and forget what was not used for longest', () => {
    const kept = new BoundedBytes<string>(4_000)
    for (const key of ['a', 'b', 'c']) kept.set(key, content())
    assert.ok(kept.get('a'))
    kept.set('d', content())
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((key) => kept.get(key) !== undefined),
      [true, false, true, true],
    )
    assert.ok(kept.weight <= 4_000)
  })

  test('count an entry that is set again once, and none that is gone', () => {
    const kept = new BoundedBytes<string>(10_000)
    kept.set('a', content())
    const one = kept.weight
    kept.set('a', content())
    assert.equal(kept.weight, one)
    kept.delete('a')
    kept.delete('a')
    assert.equal(kept.weight, 0)
  })

  test('do not keep what is larger than everything allowed, and drop what it replaces', () => {
    const kept = new BoundedBytes<string>(2_000)
    kept.set('a', content())
    kept.set('a', new Uint8Array(3_000))
    assert.deepEqual([kept.get('a'), kept.weight], [undefined, 0])
  })

  test('count empty contents too, so that their number is bounded', () => {
    const kept = new BoundedBytes<number>(3_000)
    for (let i = 0; i < 100; i++) kept.set(i, new Uint8Array(0))
    assert.ok(kept.weight <= 3_000)
    assert.equal(kept.get(0), undefined)
    assert.ok(kept.get(99))
  })
})
