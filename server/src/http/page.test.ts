import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isFault } from '../base/fault.ts'
import { pageOf } from './page.ts'

const page = (query: string) => pageOf(new URLSearchParams(query))

describe('page of a list', () => {
  for (const [query, limit, last] of [
    ['', 100, ''],
    ['n=5', 5, ''],
    ['n=0', 0, ''],
    ['n=007', 7, ''],
    ['n=1000', 1000, ''],
    ['n=1001', 1000, ''],
    ['n=99999999999999999999999', 1000, ''],
    ['n=5&n=6', 5, ''],
    ['last=a%2Fb', 100, 'a/b'],
    ['last=', 100, ''],
    ['n=3&last=x&orderby=', 3, 'x'],
  ] as const) {
    test(`?${query} › ${limit} after "${last}"`, () => {
      assert.deepEqual(page(query), { limit, last })
    })
  }

  for (const n of ['', '-1', '1.0', '1e3', 'x', ' 1', '+1', '\u0661']) {
    test(`?n=${JSON.stringify(n)} › pageSizeInvalid`, () => {
      assert.throws(
        () => page(`n=${encodeURIComponent(n)}`),
        (error) => isFault(error, 'pageSizeInvalid') && error.detail.value === n,
      )
    })
  }
})
