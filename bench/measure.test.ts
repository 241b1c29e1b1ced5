import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Case, NotOffered, perSecond } from './case.ts'
import { measureCase } from './measure.ts'
import { MemoryWatch } from './memory-watch.ts'
import { parseOptions } from './options.ts'
import type { Registry, RegistryKind } from './peers/registry.ts'
import type { Stores } from './stores.ts'

const kinds: RegistryKind[] = ['berth', 'other'].map((name) => ({
  ...{ name, configuration: '', syncs: 'nothing' as const },
  find: async () => ({ missing: 'only a name' }),
}))
const registries = new Map(kinds.map((kind) => [kind, { kind } as Registry]))
const stores: Stores = {
  registryFor: (_, kind) => registries.get(kind),
  all: [],
  failed: new Map(),
  [Symbol.asyncDispose]: async () => undefined,
}
const options = parseOptions(['--rounds', '3', '--seconds', '2'])

const measure = (rest: Partial<Case>, measured: Case['measure']) =>
  measureCase(
    { ...{ name: 'it', title: 'it', unit: perSecond('requests'), needs: [] }, measure: measured, ...rest },
    { kinds, stores, options, memory: new MemoryWatch() },
  )

suite('measureCase', () => {
  test('gives every registry its turn in every round, after a warm-up that does not count', async () => {
    const turns: string[] = []
    await measure({}, async ({ kind }, { warmUp, number }) => {
      turns.push(`${warmUp ? 'warm' : number} ${kind.name}`)
      return { value: 1 }
    })
    const wanted = ['warm', 0, 1, 2].flatMap((round) => [`${round} berth`, `${round} other`])
    assert.deepEqual(turns, wanted)
  })

  test('takes the median of the rounds, of the figure and of each time by itself', async () => {
    const values = [
      [50, 9],
      [10, 1],
      [30, 5],
    ] as const
    const cells = await measure({}, async (_, { warmUp, number }) => {
      if (warmUp) return { value: 1_000_000, p99: 1_000_000 }
      const [value, p99] = values[number]!
      return { value, p99, note: `round ${number}` }
    })
    assert.deepEqual(cells.berth, { kind: 'measured', value: 30, p99: 5, rounds: [50, 10, 30], note: 'round 2' })
  })

  test('a measurement that fails once makes the cell a failure, with the reason, and is not repeated', async () => {
    let asked = 0
    const cells = await measure({}, async ({ kind }, { number }) => {
      if (kind.name === 'other' && ++asked > 0 && number === 1) throw new Error('7 of 9 answers were no success\nat …')
      return { value: 1 }
    })
    assert.deepEqual(cells.other, { kind: 'failed', reason: '7 of 9 answers were no success' })
    assert.equal(asked, 3)
    assert.equal(cells.berth?.kind, 'measured')
  })

  test('what a check finds wrong is never measured', async () => {
    const asked: string[] = []
    const cells = await measure(
      {
        async check({ kind }) {
          if (kind.name === 'berth') throw new Error('the page has 3 names')
          throw new NotOffered('answers 404')
        },
      },
      async ({ kind }) => {
        asked.push(kind.name)
        return { value: 1 }
      },
    )
    assert.deepEqual(cells.berth, { kind: 'failed', reason: 'the page has 3 names' })
    assert.deepEqual(cells.other, { kind: 'none', reason: 'answers 404' })
    assert.deepEqual(asked, [])
  })

  test('asks Berth alone where the case says so', async () => {
    const cells = await measure({ berthAlone: 'run with auth off' }, async () => ({ value: 1 }))
    assert.deepEqual(cells.other, { kind: 'unasked', reason: 'run with auth off' })
    assert.equal(cells.berth?.kind, 'measured')
  })
})
