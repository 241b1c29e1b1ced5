import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseDuration, parseZb } from './zb.ts'

const report = (failed: number) => `============
Test name:            Push Monolith 1MB
Time taken for tests: 204.653196ms
Requests per second:  19.545261
Complete requests:    ${4 - failed}
Failed requests:      ${failed}

2xx responses: ${4 - failed}

min: 69.181113ms
max: 1.2s
p50: 77.800938ms
p75: 88.21177ms
p90: 88.21177ms
p99: 1m1.5s
`

suite("zb's report", () => {
  test('has requests a second and times', () => {
    assert.deepEqual(parseZb(report(0), ''), { perSecond: 19.545261, p50: 77.800938, p99: 61_500 })
  })

  test('with a failed request is no result', () => {
    assert.throws(() => parseZb(report(3), ''), /3 of zb's requests failed/)
  })

  test('that is none tells the last thing that zb said', () => {
    assert.throws(() => parseZb('', 'first\nconnection refused\n'), /connection refused/)
  })

  test("writes durations in Go's way", () => {
    assert.deepEqual(['80µs', '1.5s', '1h2m3s', '250ns'].map(parseDuration), [0.08, 1500, 3_723_000, 0.00025])
    assert.throws(() => parseDuration('soon'))
  })
})
