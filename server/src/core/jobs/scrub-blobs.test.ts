import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { dayMs } from '../../../test/core.ts'
import { aBlob } from '../../../test/images.ts'
import { openTestIntegrity, type TestIntegrity } from '../../../test/integrity.ts'
import { silentLog } from '../../base/log.ts'
import { createScrubber } from '../registry/integrity/scrub.ts'
import { scrubBlobs } from './scrub-blobs.ts'

const periodMs = 30 * dayMs

function aJob(core: TestIntegrity) {
  const numbers = { blobs: 0, bytes: 0, damaged: 0, failed: 0, oldest: '' }
  const errors: [object, string][] = []
  const job = scrubBlobs(periodMs, {
    scrubber: createScrubber(core.db, core.store, core.clock),
    log: { ...silentLog, error: (facts, message) => void errors.push([facts, message]) },
    observe: {
      read(bytes) {
        numbers.blobs += 1
        numbers.bytes += bytes
      },
      damaged() {
        numbers.damaged += 1
      },
      failed() {
        numbers.failed += 1
      },
      oldest(moment) {
        numbers.oldest = moment.toISOString()
      },
    },
    wait: async (ms) => core.clock.advance(ms),
  })
  return { job, numbers, errors, run: (signal = new AbortController().signal) => job.run(signal) }
}

suite('scrubbing in the background', () => {
  test('counts what it reads, logs what is damaged with its repositories, and says what is next', async () => {
    await using core = await openTestIntegrity()
    const [good, bad] = [aBlob('good'), aBlob('worse')]
    await core.push('a', good, bad)
    await core.push('b', bad)
    await core.flip(bad)
    core.clock.advance(periodMs)
    const { run, numbers, errors } = aJob(core)
    await run()
    const { oldest, ...counts } = numbers
    assert.deepEqual(counts, { blobs: 2, bytes: 9, damaged: 1, failed: 0 })
    assert.ok(core.clock.now() - Date.parse(oldest) < 1_000, 'the good one has just been read')
    assert.equal(errors.length, 1)
    const [facts, message] = errors[0] ?? [{}, '']
    assert.match(message, /^a stored blob is damaged/)
    assert.deepEqual('digest' in facts && 'repositories' in facts && [facts.digest, facts.repositories], [
      bad.digest,
      ['berth/a', 'berth/b'],
    ])
  })

  test('a run that fails counts as failed, and the error passes', async () => {
    await using core = await openTestIntegrity()
    const many = Array.from({ length: 12 }, (_, index) => aBlob(`blob ${index}`))
    await core.push('a', ...many)
    for (const blob of many) await rm(core.fileOf(blob))
    core.clock.advance(periodMs)
    const { run, numbers } = aJob(core)
    await assert.rejects(run(), /is the store whole/)
    assert.equal(numbers.failed, 1)
  })

  test('looks often enough to keep to a short period too', async () => {
    await using core = await openTestIntegrity()
    const { job } = aJob(core)
    assert.deepEqual([job.name, job.intervalMs], ['scrub-blobs', 10 * 60_000])
    const short = scrubBlobs(60_000, {
      scrubber: createScrubber(core.db, core.store, core.clock),
      log: silentLog,
      observe: { read: () => undefined, damaged: () => undefined, failed: () => undefined, oldest: () => undefined },
      wait: async () => undefined,
    })
    assert.equal(short.intervalMs, 1_200)
  })
})
