import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { dayMs, hourMs, openTestCore, type TestCore } from '../../../test/core.ts'
import { aBlob, anImage } from '../../../test/images.ts'
import { silentLog } from '../../base/log.ts'
import { createLoginThrottle } from '../access/login-throttle.ts'
import { type CollectionRun, collectGarbage } from './collect-garbage.ts'

const limits = { intervalMs: 1, graceMs: hourMs, uploadExpiryMs: dayMs }

function aJob(core: TestCore) {
  const runs: CollectionRun[] = []
  const logged: object[] = []
  const log = { ...silentLog, info: (facts: object) => void logged.push(facts) }
  const job = collectGarbage(limits, { ...core, log, observe: (run) => void runs.push(run) })
  return { runs, logged, run: (signal = new AbortController().signal) => job.run(signal) }
}

suite('the collection in the background', () => {
  test('removes what has had its grace, and says how much that was', async () => {
    await using core = await openTestCore()
    const { run, runs, logged } = aJob(core)
    await core.push('a', aBlob('12345'), aBlob('1234567'))
    await run()
    core.clock.advance(hourMs + 1)
    await run()
    assert.deepEqual(
      runs.map(({ seconds, ...numbers }) => ({ ...numbers, timed: seconds > 0 })),
      [
        { blobs: 0, bytes: 0, failed: false, timed: true },
        { blobs: 2, bytes: 12, failed: false, timed: true },
      ],
    )
    const [line] = logged
    assert.equal(logged.length, 1, 'a run that finds nothing says nothing')
    assert.deepEqual(line && 'removed' in line && line.removed, { 'unused link': 2, 'unlinked blob': 2 })
  })

  test('keeps untagged manifests', async () => {
    await using core = await openTestCore()
    await core.pushImage('a', anImage())
    core.clock.advance(400 * dayMs)
    const { run, logged } = aJob(core)
    await run()
    assert.deepEqual(logged, [])
  })

  test('forgets failed logins that count for nothing any more, and keeps the others', async () => {
    await using core = await openTestCore()
    const throttle = createLoginThrottle(core.db, core.clock, async () => undefined)
    await throttle.failed('192.0.2.1', 'old')
    core.clock.advance(4 * 60_000)
    await core.db.write((tables) =>
      tables
        .insertInto('login_failures')
        .values({ subject: 'account:new', failures: 1, failed_at: new Date(core.clock.now()).toISOString() })
        .execute(),
    )
    core.clock.advance(2 * 60_000)
    await aJob(core).run()
    const left = await core.db.read((tables) => tables.selectFrom('login_failures').select('subject').execute())
    assert.deepEqual(left, [{ subject: 'account:new' }])
  })

  test('that fails is counted with what it had done', async (t) => {
    await using core = await openTestCore()
    await core.push('a', aBlob('12345'))
    core.clock.advance(dayMs)
    t.mock.method(core.store, 'delete', async () => {
      throw new Error('away')
    })
    const { run, runs } = aJob(core)
    await assert.rejects(run(), /away/)
    assert.deepEqual(
      runs.map(({ blobs, failed }) => ({ blobs, failed })),
      [{ blobs: 0, failed: true }],
    )
  })

  test('ends between two transactions when it is told to', async () => {
    await using core = await openTestCore()
    await core.push('a', ...Array.from({ length: 120 }, (_, index) => aBlob(`blob ${index}`)))
    core.clock.advance(dayMs)
    const ending = new AbortController()
    const seen: number[] = []
    for await (const gone of core.collector.collect({ ...limits, signal: ending.signal })) {
      seen.push(gone.length)
      ending.abort()
    }
    assert.deepEqual(seen, [100])
    assert.equal((await core.collect()).filter(({ reason }) => reason === 'unlinked blob').length, 120)
  })
})
