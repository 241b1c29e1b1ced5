import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseContentRange, parseRange } from './range-header.ts'

describe('Range', () => {
  for (const [header, size, expected] of [
    [undefined, 10, 'whole'],
    ['', 10, 'whole'],
    ['bytes=0-0', 10, { start: 0, end: 0 }],
    ['bytes=0-', 10, { start: 0, end: 9 }],
    ['bytes=3-5', 10, { start: 3, end: 5 }],
    ['bytes=3-500', 10, { start: 3, end: 9 }],
    ['bytes=-3', 10, { start: 7, end: 9 }],
    ['bytes=-30', 10, { start: 0, end: 9 }],
    ['Bytes = 3-5', 10, 'whole'],
    ['BYTES= 3 - 5 ', 10, { start: 3, end: 5 }],
    ['bytes=9-9', 10, { start: 9, end: 9 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-20', 10, 'unsatisfiable'],
    ['bytes=5-4', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-0', 0, 'whole'],
    ['bytes=0-4194303', 0, 'whole'],
    ['bytes=1-', 0, 'unsatisfiable'],
    ['bytes=-1', 0, 'unsatisfiable'],
    ['bytes=0-1,3-4', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
    ['17-', 10, 'whole'],
    ['items=0-1', 10, 'whole'],
    ['bytes=0-99999999999999999', 10, { start: 0, end: 9 }],
    ['bytes=9999999999999999-', 10, 'unsatisfiable'],
    ['bytes=99999999999999999999-', 10, 'unsatisfiable'],
    ['bytes=0x1-2', 10, 'whole'],
    [`bytes=0-${' '.repeat(200)}5`, 10, 'whole'],
  ] as const) {
    test(`${header} of ${size} bytes › ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseRange(header, size), expected)
    })
  }
})

describe('Content-Range of a chunk', () => {
  for (const [header, expected] of [
    ['0-0', { start: 0, end: 0 }],
    ['0-1048575', { start: 0, end: 1048575 }],
    [' 5-9 ', { start: 5, end: 9 }],
    ['bytes 5-9/10', { start: 5, end: 9 }],
    ['bytes 5-9/*', { start: 5, end: 9 }],
    ['bytes=5-9', { start: 5, end: 9 }],
    ['0-9007199254740991', { start: 0, end: 9007199254740991 }],
    ['0-9007199254740993', undefined],
    ['9-5', undefined],
    ['5-', undefined],
    ['-5', undefined],
    ['', undefined],
    ['bytes */10', undefined],
    ['a-b', undefined],
    ['1-2-3', undefined],
    ['1.5-2', undefined],
    ['0-99999999999999999', undefined],
  ] as const) {
    test(`"${header}" › ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(parseContentRange(header), expected)
    })
  }
})
