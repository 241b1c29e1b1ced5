import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { KnownAnswers } from './known-answers.ts'

/** Answers that tell how often the database was asked. */
function counting(answers = new KnownAnswers()) {
  let asked = 0
  const ask = (query: number, parameters: readonly unknown[], row: object = {}) => {
    const [{ time } = { time: 0 }] = answers.get(query, parameters, () => [{ ...row, time: ++asked }]) as {
      time: number
    }[]
    return time
  }
  return { answers, ask }
}

suite('known answers', () => {
  test('one question is asked once while nothing changes, and anew after any change', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    assert.deepEqual([ask(0, ['a', 1]), ask(0, ['a', 1])], [1, 1])
    answers.areOf(1)
    assert.equal(ask(0, ['a', 1]), 1)
    answers.areOf(2)
    assert.deepEqual([ask(0, ['a', 1]), ask(0, ['a', 1])], [2, 2])
  })

  test('questions that differ anywhere are different ones', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    const questions: [number, unknown[]][] = [
      [1, ['a', 'b']],
      [11, ['a', 'b']],
      [1, ['b', 'a']],
      [1, ['a', 'b', '']],
      [1, ['ab']],
      [1, ['a 1:b']],
      [1, ['a', '1:b']],
      [1, ['1']],
      [1, [1]],
      [1, []],
      [1, ['']],
    ]
    assert.deepEqual(
      questions.map(([query, parameters]) => ask(query, parameters)),
      questions.map((_, index) => index + 1),
    )
  })

  test('what has no name in text, and what is large, is asked each time', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    const twice = (query: number, parameter: unknown, row?: object) => [1, 2].map(() => ask(query, [parameter], row))
    assert.deepEqual([null, new Uint8Array(1), 1n].map((parameter) => twice(0, parameter)), [[1, 2], [3, 4], [5, 6]]) // biome-ignore format: pairs
    assert.deepEqual(twice(1, 'text', { large: 'x'.repeat(5_000) }), [7, 8])
    assert.deepEqual(twice(1, 'bytes', { large: new Uint8Array(9_000) }), [9, 10])
  })

  test('of many answers, those that were not asked for longest are forgotten', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    const first = ask(0, ['first'])
    for (let i = 0; i < 20_000; i++) {
      ask(0, [i])
      assert.equal(ask(0, ['first']), first)
    }
    assert.ok(ask(0, [0]) > 20_000)
  })

  test('nobody can change what others are told', () => {
    const answers = new KnownAnswers()
    answers.areOf(1)
    const rows = answers.get(0, [], () => [{ size: 1 }]) as { size: number }[]
    assert.throws(() => {
      rows[0]!.size = 2
    }, TypeError)
    assert.throws(() => rows.push({ size: 3 }), TypeError)
  })
})
