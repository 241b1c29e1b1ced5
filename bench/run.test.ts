import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Case, perSecond } from './case.ts'
import { parseOptions } from './options.ts'
import { selectCases, selectKinds } from './run.ts'

const kindNames = (...flags: readonly string[]) => selectKinds(parseOptions(flags)).map(({ name }) => name)

suite('what a run is to measure', () => {
  test('is every registry, or those whose name matches', () => {
    assert.deepEqual(kindNames(), ['berth', 'zot', 'zot, commit', 'distribution', 'olareg'])
    assert.deepEqual(kindNames('--registries', '^(berth|olareg)$'), ['berth', 'olareg'])
  })

  test('must be something: what matches no registry or no case is refused', () => {
    assert.throws(
      () => kindNames('--registries', 'harbour'),
      /^Error: no registry matches \/harbour\/i; there are berth;/,
    )
    const only: Case = {
      ...{ name: 'it', title: 'it', unit: perSecond('requests'), needs: [] },
      measure: async () => ({ value: 1 }),
    }
    assert.deepEqual(selectCases([only], parseOptions([])), [only])
    assert.throws(() => selectCases([only], parseOptions(['--only', 'them'])), /^Error: no case matches \/them\/i;/)
  })
})
