import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { atFixedRate, type End, oneAfterAnother } from './pace.ts'

const endIn = (ms: number, isOver = () => false): End => ({ deadline: performance.now() + ms, isOver })

function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

suite('clients that do one thing after another', () => {
  test('begin nothing while they wait, and as many as they may', async () => {
    let underWay = 0
    const seen: number[] = []
    const operation = async () => {
      seen.push(++underWay)
      await pause(5)
      underWay--
      return 10
    }
    const { times, bytes } = await oneAfterAnother({ clients: 2, most: 7, operation }, endIn(10_000))
    assert.equal(times.length, 7)
    assert.equal(bytes, 70)
    assert.equal(Math.max(...seen), 2)
  })
})

suite('a fixed rate', () => {
  test('holds however slow the answers are', async () => {
    const operation = async () => {
      await pause(300)
      return 1
    }
    const { times, bytes } = await atFixedRate({ perSecond: 50, operation }, endIn(400))
    assert.equal(times.length, 20)
    assert.equal(bytes, 20)
    assert.ok(Math.min(...times) >= 299)
  })

  test('counts from when an operation was due: one that could not begin has waited, too', async () => {
    const operation = async (number: number) => {
      if (number === 1) block(300)
      return 1
    }
    const { times } = await atFixedRate({ perSecond: 100, operation }, endIn(500))
    assert.equal(times.length, 50)
    assert.ok(times.filter((time) => time > 100).length >= 19, `${times}`)
  })

  test('ends when it is told to, and when an operation fails, but waits for the others', async () => {
    let ended = 0
    const operation = async (number: number) => {
      await pause(20)
      ended++
      if (number === 2) throw new Error('no answer')
      return 1
    }
    await assert.rejects(atFixedRate({ perSecond: 100, operation }, endIn(60_000)), /^Error: no answer$/)
    assert.ok(ended >= 3 && ended < 100)
    const { times } = await atFixedRate(
      { perSecond: 100, operation: async () => 1 },
      endIn(60_000, () => ended++ > 10),
    )
    assert.ok(times.length < 100)
  })
})
