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
  test('a question that comes again is put once more, and anew after any change', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    const thrice = () => [1, 2, 3].map(() => ask(0, ['a', 1]))
    assert.deepEqual(thrice(), [1, 2, 2])
    answers.areOf(1)
    assert.deepEqual(thrice(), [2, 2, 2])
    answers.areOf(2)
    assert.deepEqual(thrice(), [3, 3, 3])
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
    const askAll = () => questions.map(([query, parameters]) => ask(query, parameters))
    askAll()
    assert.deepEqual(
      askAll(),
      questions.map((_, index) => questions.length + index + 1),
    )
    assert.deepEqual(askAll(), askAll())
  })

  test('what has no name in text, and what is large, is asked each time', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    const thrice = (query: number, parameter: unknown, row?: object) =>
      [1, 2, 3].map(() => ask(query, [parameter], row))
    assert.deepEqual(thrice(0, null), [1, 2, 3])
    assert.deepEqual(thrice(0, new Uint8Array(1)), [4, 5, 6])
    assert.deepEqual(thrice(1, 'text', { large: 'x'.repeat(5_000) }), [7, 8, 9])
    assert.deepEqual(thrice(1, 'bytes', { large: new Uint8Array(9_000) }), [10, 11, 12])
  })

  test('of many answers, those that were not asked for longest are forgotten', () => {
    const { answers, ask } = counting()
    answers.areOf(1)
    const again = (i: number) => ask(0, [i]) && ask(0, [i])
    const first = again(0)
    const second = again(1)
    for (let i = 2; i < 20_000; i++) {
      again(i)
      assert.equal(ask(0, [0]), first)
    }
    assert.ok(ask(0, [1]) > second)
  })

  test('nobody can change what others are told', () => {
    const answers = new KnownAnswers()
    answers.areOf(1)
    const ask = () => answers.get(0, [], () => [{ size: 1 }]) as { size: number }[]
    ask()
    const rows = ask()
    assert.equal(rows, ask())
    assert.throws(() => {
      rows[0]!.size = 2
    }, TypeError)
    assert.throws(() => rows.push({ size: 3 }), TypeError)
  })
})
