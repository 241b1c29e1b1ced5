import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isFault } from '../../base/fault.ts'
import { SessionGates, type Step } from './session-gate.ts'

const refused = (code: 'uploadBusy' | 'blobUploadUnknown') => (error: unknown) => isFault(error, code)

/** A caller whose steps the test takes. */
async function enter(gates: SessionGates, { ends = false, session = 'one' } = {}) {
  const entered = Promise.withResolvers<Step>()
  const leaving = Promise.withResolvers<void>()
  const done = gates.enter(session, { ends }, (step) => {
    entered.resolve(step)
    return leaving.promise
  })
  const step = await entered.promise
  return {
    step,
    async leave() {
      leaving.resolve()
      await done
    },
  }
}

suite('the callers of one session', () => {
  test('the newest waits for the step that is under way, and the earlier one starts no other', async () => {
    const gates = new SessionGates()
    const order: string[] = []
    const earlier = await enter(gates)
    const begun = Promise.withResolvers<void>()
    const writing = Promise.withResolvers<void>()
    const first = earlier.step(async () => {
      begun.resolve()
      await writing.promise
      order.push('the earlier one has written')
    })
    const waiting = assert.rejects(
      earlier.step(async () => void order.push('never')),
      refused('uploadBusy'),
    )
    await begun.promise
    const newest = await enter(gates)
    const second = newest.step(async () => void order.push('the newest writes'))
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    assert.equal(order.length, 0)
    writing.resolve()
    await Promise.all([first, waiting, second])
    await assert.rejects(
      earlier.step(async () => void order.push('never')),
      refused('uploadBusy'),
    )
    assert.deepEqual(order, ['the earlier one has written', 'the newest writes'])
    await Promise.all([earlier.leave(), newest.leave()])
  })

  test('an earlier one learns that the session is over from a newer one that ends it', async () => {
    const gates = new SessionGates()
    const earlier = await enter(gates)
    const newest = await enter(gates, { ends: true })
    await assert.rejects(
      earlier.step(async () => assert.fail('it began')),
      refused('blobUploadUnknown'),
    )
    await Promise.all([earlier.leave(), newest.leave()])
  })

  test('a step that fails is told to its caller alone', async () => {
    const gates = new SessionGates()
    const earlier = await enter(gates)
    await assert.rejects(
      earlier.step(async () => {
        throw new Error('the disk is full')
      }),
      /the disk is full/,
    )
    assert.equal(await earlier.step(async () => 'goes on'), 'goes on')
    const newest = await enter(gates)
    assert.equal(await newest.step(async () => 'goes on'), 'goes on')
    await Promise.all([earlier.leave(), newest.leave()])
  })

  test('those of another session are in nobody’s way', async () => {
    const gates = new SessionGates()
    const [one, other] = [await enter(gates), await enter(gates, { ends: true, session: 'another' })]
    const never = one.step<string>(() => new Promise(() => undefined))
    assert.equal(await other.step(async () => 'at once'), 'at once')
    assert.equal(await Promise.race([never, nextTurn('waits')]), 'waits')
    await other.leave()
  })
})
