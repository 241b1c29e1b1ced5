import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nextLink } from './link-header.ts'

describe('Link', () => {
  test('has every pair in order, also the empty one', () => {
    assert.equal(
      nextLink('/v2/a/tags/list', { last: 'v1', n: 2, orderby: '' }),
      '</v2/a/tags/list?last=v1&n=2&orderby=>; rel="next"',
    )
  })

  test('cannot be left by a value: brackets, quotes and ampersands are encoded', () => {
    const link = nextLink('/x', { last: '>; rel="prev", <a&b=c d+e' })
    const [, target = ''] = /^<([^>]*)>; rel="next"$/.exec(link) ?? []
    assert.equal(new URL(target, 'http://x').searchParams.get('last'), '>; rel="prev", <a&b=c d+e')
  })
})
