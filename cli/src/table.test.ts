import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatBytes, formatTable } from './table.ts'

suite('text for people', () => {
  test('a table has columns as wide as they need to be, without blanks at the end', () => {
    const rows = [
      ['a', 'long', 'x'],
      ['longer', '1', 'y'],
      ['', '22', ''],
    ]
    assert.equal(formatTable(rows, new Set([1])), 'a       long  x\nlonger     1  y\n          22')
  })

  test('a table may have any number of rows', () => {
    const rows = Array.from({ length: 200_000 }, () => ['a', 'b'])
    assert.equal(formatTable(rows, new Set()).length, 200_000 * 5 - 1)
  })

  test('bytes are told in the unit that leaves one to three digits before the point', () => {
    const known = {
      0: '0 B',
      999: '999 B',
      1000: '1.0 kB',
      1250: '1.3 kB',
      999949: '999.9 kB',
      999950: '1.0 MB',
      34000000: '34.0 MB',
      1500000000000: '1.5 TB',
    }
    for (const [bytes, text] of Object.entries(known)) assert.equal(formatBytes(Number(bytes)), text)
  })
})
