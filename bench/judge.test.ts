import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Case, milliseconds, perSecond, type Wanted } from './case.ts'
import { judge } from './judge.ts'
import type { RegistryKind } from './peers/registry.ts'
import type { CaseResult, Cell } from './result.ts'

const kind = (name: string, syncs: RegistryKind['syncs']): RegistryKind => ({
  ...{ name, syncs, configuration: '' },
  find: async () => ({ missing: 'only a name' }),
})
const kinds = [
  kind('berth', 'all of it'),
  kind('careful', 'all of it'),
  kind('hasty', 'some of it'),
  kind('careless', 'nothing'),
]

const question = (rest: Partial<Case> = {}): Case => ({
  ...{ name: 'it', title: 'it', unit: perSecond('requests'), needs: [] },
  measure: async () => ({ value: 0 }),
  ...rest,
})
const cell = (value: number, p99?: number): Cell => ({
  ...{ kind: 'measured', value, rounds: [value] },
  ...(p99 === undefined ? {} : { p99 }),
})
const resultOf = (name: string, cells: Record<string, Cell>): CaseResult => ({
  ...{ name, title: `title of ${name}`, unit: 'requests/s', better: 'more', wanted: [] },
  cells,
})
const reached = (wanted: Wanted, cells: Record<string, Cell>, before: CaseResult[] = [], rest: Partial<Case> = {}) =>
  judge(question({ wanted: [wanted], ...rest }), cells, before, kinds).wanted[0]?.reached

suite('judge', () => {
  test('compares with the best of the others, also when Berth is behind', () => {
    const { best, ratio } = judge(question(), { berth: cell(50), careful: cell(40), careless: cell(100) }, [], kinds)
    assert.deepEqual([best, ratio], [{ registry: 'careless', value: 100 }, 0.5])
  })

  test('takes less for better where it is', () => {
    const cells = { berth: cell(50), careful: cell(200), hasty: cell(100) }
    const { best, ratio } = judge(question({ unit: milliseconds }), cells, [], kinds)
    assert.deepEqual([best, ratio], [{ registry: 'hasty', value: 100 }, 2])
  })

  test('in writes counts who syncs everything, and says how it is to the best that syncs some', () => {
    const cells = { berth: cell(60), careful: cell(20), hasty: cell(30), careless: cell(900) }
    const { best, ratio, note } = judge(question({ writes: true }), cells, [], kinds)
    assert.deepEqual([best, ratio], [{ registry: 'careful', value: 20 }, 3])
    assert.match(note ?? '', /^×2\.00 of hasty/)
  })

  test('has no ratio without figures of Berth or of anybody else', () => {
    assert.equal(judge(question(), { berth: cell(1) }, [], kinds).ratio, undefined)
    assert.equal(judge(question(), { careful: cell(1) }, [], kinds).ratio, undefined)
    const failed: Cell = { kind: 'failed', reason: 'every answer was 500' }
    assert.equal(judge(question(), { berth: failed, careful: cell(1) }, [], kinds).ratio, undefined)
  })

  test("takes the others' figures from another case where they have no such store", () => {
    const before = [resultOf('small', { berth: cell(7), careful: cell(10) })]
    const { best, ratio } = judge(question({ peersOf: 'small' }), { berth: cell(40) }, before, kinds)
    assert.deepEqual([best, ratio], [{ registry: 'careful', value: 10, of: 'small' }, 4])
  })

  test('says whether a ratio is reached, and nothing when there is none', () => {
    const wanted: Wanted = { kind: 'ratio', atLeast: 1.5 }
    assert.equal(reached(wanted, { berth: cell(15), careful: cell(10) }), true)
    assert.equal(reached(wanted, { berth: cell(14.9), careful: cell(10) }), false)
    assert.equal(reached(wanted, { berth: cell(15) }), undefined)
  })

  test('says whether a limit is kept', () => {
    const most: Wanted = { kind: 'limit', bound: 'most', value: 200 }
    const least: Wanted = { kind: 'limit', bound: 'least', value: 1000 }
    assert.deepEqual([reached(most, { berth: cell(200) }), reached(most, { berth: cell(201) })], [true, false])
    assert.deepEqual([reached(least, { berth: cell(1000) }), reached(least, { berth: cell(999) })], [true, false])
  })

  test('compares with an earlier case of Berth, by figure and by p99', () => {
    const before = [resultOf('calm', { berth: cell(100, 20) })]
    const same: Wanted = { kind: 'asIn', case: 'calm', within: 0.1 }
    assert.deepEqual(
      [90, 89, 200].map((value) => reached(same, { berth: cell(value) }, before)),
      [true, false, true],
    )
    const p99: Wanted = { kind: 'p99AsIn', case: 'calm', within: 0.1 }
    assert.deepEqual(
      [22, 23].map((time) => reached(p99, { berth: cell(1, time) }, before)),
      [true, false],
    )
    assert.equal(reached(p99, { berth: cell(1, 22) }), undefined)
  })
})
