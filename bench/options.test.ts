import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseOptions } from './options.ts'

suite('options', () => {
  test('a whole run writes the results that are kept, a short or partial one does not', () => {
    const whole = parseOptions([]).results
    assert.match(whole ?? '', /bench[/\\]results$/)
    for (const flags of [['--quick'], ['--only', 'blob'], ['--registries', 'zot']]) {
      assert.notEqual(parseOptions(flags).results, whole, flags.join(' '))
    }
    assert.equal(parseOptions(['--results', 'none']).results, undefined)
  })

  test('a quick run is shorter in everything, unless a flag says otherwise', () => {
    const [whole, quick] = [parseOptions([]), parseOptions(['--quick'])]
    for (const key of ['rounds', 'seconds', 'large', 'share'] as const) assert.ok(quick[key] < whole[key], key)
    assert.equal(parseOptions(['--quick', '--rounds', '7']).rounds, 7)
  })

  test('refuses what it does not understand', () => {
    for (const flags of [['--rounds', '0'], ['--seconds', 'x'], ['--fast'], ['--only', '(']]) {
      assert.throws(() => parseOptions(flags), flags.join(' '))
    }
  })
})
