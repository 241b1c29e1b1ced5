import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { MemoryObjects } from '../../../test/memory-objects.ts'
import { isFault } from '../../base/fault.ts'
import { patient, RetryingObjects } from './object-retries.ts'
import { ObjectStoreError, type ObjectTrouble } from './object-store.ts'

describe('an object store that is asked again', () => {
  let objects: MemoryObjects
  beforeEach(() => {
    objects = new MemoryObjects()
  })

  const retrying = (policy = {}) => new RetryingObjects(objects, { ...patient, pauseMs: 1, ...policy })

  function failing(times: number, trouble: ObjectTrouble): void {
    let left = times
    objects.before = () => {
      if (left-- > 0) throw new ObjectStoreError(trouble, 'PutObject: SlowDown (503)')
    }
  }

  test('answers when it is back in time', async () => {
    failing(3, 'unreachable')
    await retrying().put('key', Buffer.from('bytes'))
    assert.deepEqual(objects.keys, ['key'])
    assert.equal(objects.calls.length, 4)
  })

  test('is `unavailable` when it is not, with what it said as the cause', async () => {
    failing(9, 'unreachable')
    await assert.rejects(retrying().put('key', Buffer.from('bytes')), (error) => {
      assert.ok(isFault(error, 'unavailable'))
      assert.equal(error.detail.reason, 'the object store does not answer')
      assert.match((error.cause as Error).message, /SlowDown/)
      return true
    })
    assert.equal(objects.calls.length, 4)
  })

  test('is asked once only where that will not help', async () => {
    for (const [trouble, reason] of [
      ['denied', 'the object store refuses access'],
      ['full', 'the object store is full'],
    ] as const) {
      objects.calls.length = 0
      failing(1, trouble)
      await assert.rejects(retrying().stat('key'), (error) => {
        assert.ok(isFault(error, 'unavailable'))
        assert.equal(error.detail.reason, reason)
        return true
      })
      assert.equal(objects.calls.length, 1)
    }
    for (const trouble of ['missing', 'lost', 'outside', 'other'] as const) {
      failing(1, trouble)
      await assert.rejects(retrying().stat('key'), (error) => (error as ObjectStoreError).trouble === trouble)
    }
  })

  test('is cut off when it hangs, whether or not it heeds the signal', async () => {
    const signals: AbortSignal[] = []
    for (const heeds of [true, false]) {
      objects.before = (_, __, signal) => {
        signals.push(signal!)
        return new Promise((_, reject) => {
          if (heeds) signal?.addEventListener('abort', () => reject(new ObjectStoreError('unreachable', 'aborted')))
        })
      }
      await assert.rejects(retrying({ smallMs: 20, tries: 2 }).stat('key'), (error) => isFault(error, 'unavailable'))
    }
    assert.equal(signals.length, 4)
    assert.ok(signals.every(({ aborted }) => aborted))
  })

  test('is not asked again after the time for all tries is over', async () => {
    failing(9, 'unreachable')
    await assert.rejects(retrying({ pauseMs: 1_000, totalMs: 100 }).stat('key'))
    assert.equal(objects.calls.length, 1)
  })

  test('goes on with its lists where it was', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
      objects.objects.set(name, { bytes: Buffer.alloc(1), modifiedAt: 0 })
    let asked = 0
    objects.before = () => {
      if (asked++ === 1) throw new ObjectStoreError('unreachable', 'ECONNRESET')
    }
    const keys = await Array.fromAsync(retrying().list('', 'b'), ({ key }) => key)
    assert.deepEqual(keys, ['c', 'd', 'e', 'f', 'g'])
    assert.equal(asked, 3)
  })

  test('takes parts that are gone for completed where the object is there', async () => {
    const one = retrying()
    const multipart = await one.begin('key')
    const tag = await one.putPart(multipart, 1, Buffer.from('bytes'))
    await one.complete(multipart, [tag], 5)
    await one.complete(multipart, [tag], 5)
    await assert.rejects(one.complete(multipart, [tag], 6), (error) => (error as ObjectStoreError).trouble === 'lost')
  })
})
