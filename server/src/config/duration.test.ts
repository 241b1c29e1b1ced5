import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { formatDuration, parseDuration } from './duration.ts'

suite('a duration', () => {
  test('is a whole number and a unit', () => {
    const known = { '0s': 0, '30s': 30_000, '10m': 600_000, '24h': 86_400_000, '7d': 604_800_000, '90m': 5_400_000 }
    for (const [text, ms] of Object.entries(known)) assert.equal(parseDuration(text), ms, text)
  })

  test('is nothing else', () => {
    for (const text of ['', '30', 's', '1.5h', '-1s', '1 h', '1h30m', '1w', '1H', '99999d', '1234567890s', 'off'])
      assert.equal(parseDuration(text), undefined, text)
  })

  test('is written in its greatest whole unit, and read back the same', () => {
    for (const text of ['0s', '1s', '59s', '90s', '1m', '61m', '1h', '25h', '1d', '365d']) {
      assert.equal(formatDuration(parseDuration(text) ?? Number.NaN), text)
    }
    assert.equal(formatDuration(3_600_000 * 48), '2d')
  })
})
