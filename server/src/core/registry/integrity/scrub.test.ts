import assert from 'node:assert/strict'
import { rename, rm, writeFile } from 'node:fs/promises'
import { suite, type TestContext, test } from 'node:test'
import { at, dayMs, hourMs } from '../../../../test/core.ts'
import { aBlob, type Content } from '../../../../test/images.ts'
import { openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'
import { createScrubber, leastBytesPerSecond, planScrub, type Scrubbed } from './scrub.ts'

const periodMs = 30 * dayMs

/** A scrubber whose waiting moves the clock. */
function aScrubber(core: TestIntegrity) {
  const scrubber = createScrubber(core.db, core.store, core.clock)
  const wait = async (ms: number) => core.clock.advance(ms)
  const scrub = (period = periodMs, signal = new AbortController().signal) =>
    Array.fromAsync(scrubber.scrub({ periodMs: period, signal, wait }))
  return { ...scrubber, scrubOnce: scrub }
}

const brief = (scrubbed: readonly Scrubbed[]) => scrubbed.map(({ kind, digest }) => `${kind} ${digest}`)

const blobs = ['one', 'two', 'three'].map((text) => aBlob(`scrubbed: ${text}`))
const [one, two, three] = blobs as [Content, Content, Content]

/** Three blobs, a day between them. */
async function openWithBlobs(): Promise<TestIntegrity & AsyncDisposable> {
  const core = await openTestIntegrity()
  for (const blob of blobs) {
    await core.push('a', blob)
    core.clock.advance(dayMs)
  }
  return core
}

const rowOf = (core: TestIntegrity, { digest }: Content) =>
  core.db.read((tables) =>
    tables
      .selectFrom('blobs')
      .where('digest', '=', digest)
      .select(['scrubbed_at', 'damaged_at'])
      .executeTakeFirstOrThrow(),
  )

suite('the scrubber', () => {
  test('reads what is due, the one that was not read for longest first, and notes it', async () => {
    await using core = await openWithBlobs()
    const { scrubOnce, oldest } = aScrubber(core)
    assert.deepEqual(await scrubOnce(), [])
    core.clock.advance(periodMs - 5 * dayMs)
    assert.deepEqual(brief(await scrubOnce()), [`right ${one.digest}`, `right ${two.digest}`])
    const next = await oldest()
    assert.equal(next?.toISOString(), (await rowOf(core, three)).scrubbed_at)
    const age = core.clock.now() - Date.parse((await rowOf(core, one)).scrubbed_at)
    assert.ok(age < 1_000, `${age} ms`)
    assert.deepEqual(await scrubOnce(), [], 'nothing is due any more')
    core.clock.advance(dayMs)
    const [last] = await scrubOnce()
    assert.deepEqual(last, {
      kind: 'right',
      digest: three.digest,
      bytes: three.bytes.length,
      before: next?.toISOString(),
    })
  })

  test('reads every blob once within the period, at an even pace where there is much', async () => {
    await using core = await openTestIntegrity()
    // More than the lowest rate reads in that time: something is always due.
    const large = Array.from({ length: 12 }, (_, index) => aBlob(Buffer.alloc(8 * 1024 * 1024, index)))
    await core.push('a', ...large)
    core.clock.advance(1)
    const period = 60_000
    const readings = new Map<string, number[]>()
    const began = core.clock.now()
    const now = () => core.clock.now() - began
    const scrubber = createScrubber(core.db, core.store, core.clock)
    const options = { periodMs: period, signal: new AbortController().signal }
    const wait = async (ms: number) => core.clock.advance(ms)
    for await (const { digest } of scrubber.scrub({ ...options, wait })) {
      readings.set(digest, [...(readings.get(digest) ?? []), now()])
      if (now() > 4 * period) break
    }
    assert.equal(readings.size, large.length)
    for (const [digest, moments] of readings) {
      const gaps = [0, ...moments].slice(1).map((moment, index) => moment - ([0, ...moments][index] ?? 0))
      assert.ok(Math.max(...gaps) <= period, `${digest}: ${gaps}`)
      assert.ok(Math.min(...gaps.slice(1)) >= period / 2, `${digest} not twice as often: ${gaps}`)
    }
  })

  test('reads slowly: so many bytes a second, also within one blob', async () => {
    await using core = await openTestIntegrity()
    const large = aBlob(Buffer.alloc(20 * 1024 * 1024, 1))
    await core.push('a', large)
    core.clock.advance(periodMs)
    const waits: number[] = []
    const scrubber = createScrubber(core.db, core.store, core.clock)
    const began = core.clock.now()
    const wait = async (ms: number) => {
      waits.push(ms)
      core.clock.advance(ms)
    }
    await Array.fromAsync(scrubber.scrub({ periodMs, signal: new AbortController().signal, wait }))
    const seconds = (core.clock.now() - began) / 1000
    assert.ok(Math.abs(seconds - large.bytes.length / leastBytesPerSecond) < 1, `${seconds} s`)
    assert.ok(Math.max(...waits) <= 1_000, 'no long bursts')
  })

  test('ends in the middle of a blob when it is told to, and has noted what it has read', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', one)
    core.clock.advance(1)
    await core.push('a', aBlob(Buffer.alloc(4 * 1024 * 1024, 1)))
    core.clock.advance(periodMs)
    const ending = new AbortController()
    const scrubber = createScrubber(core.db, core.store, core.clock)
    const before = (await rowOf(core, one)).scrubbed_at
    let waits = 0
    const wait = async () => {
      waits += 1
      if (waits === 3) ending.abort()
    }
    const scrubbed = await Array.fromAsync(scrubber.scrub({ periodMs, signal: ending.signal, wait }))
    assert.deepEqual(brief(scrubbed), [`right ${one.digest}`])
    assert.equal(waits, 3)
    assert.notEqual((await rowOf(core, one)).scrubbed_at, before)
  })

  test('marks what is damaged, says who has it, and goes on', async () => {
    await using core = await openWithBlobs()
    await core.registry.mountBlob(at('b'), one.digest, 'a', () => true)
    await core.flip(one)
    await rm(core.fileOf(two))
    core.clock.advance(periodMs)
    const { scrubOnce } = aScrubber(core)
    const [first, second, third, ...more] = await scrubOnce()
    assert.ok(first?.kind === 'damaged' && second?.kind === 'damaged')
    assert.match(first.reason, /^its bytes are sha256:[0-9a-f]{64}$/)
    assert.deepEqual([first.where, second.reason], [['berth/a', 'berth/b'], 'its bytes are gone'])
    assert.deepEqual([third?.digest, more], [three.digest, []])
    for (const blob of [one, two]) {
      assert.ok((await rowOf(core, blob)).damaged_at)
      assert.equal(await core.has('a', blob), false)
    }
    core.clock.advance(periodMs)
    assert.deepEqual(brief(await scrubOnce()), [`right ${three.digest}`], 'what is marked is not read again')
  })

  test('leaves alone what nobody links', async () => {
    await using core = await openWithBlobs()
    await core.registry.deleteBlob(at('a'), one.digest)
    await core.flip(one)
    core.clock.advance(periodMs)
    assert.equal((await aScrubber(core).scrubOnce()).length, 2)
    assert.equal((await rowOf(core, one)).damaged_at, null)
  })

  test('a blob that is pushed anew while it is found damaged › is not marked', async (t) => {
    await using core = await openWithBlobs()
    await core.flip(one)
    core.clock.advance(periodMs)
    const write = core.db.write.bind(core.db)
    let pushed = false
    t.mock.method(core.db, 'write', async (...args: Parameters<typeof write>) => {
      if (!pushed) {
        pushed = true
        await core.push('a', one)
      }
      return write(...args)
    })
    assert.deepEqual(brief(await aScrubber(core).scrubOnce()), [`right ${two.digest}`, `right ${three.digest}`])
    assert.equal(await core.has('a', one), true)
  })

  test('a file that the system refuses to give › is told, and holds up nobody', async (t) => {
    await using core = await openWithBlobs()
    core.clock.advance(periodMs)
    refuse(t, core, one)
    const [refused, ...others] = await aScrubber(core).scrubOnce()
    assert.deepEqual(refused?.kind === 'refused' && refused.reason, 'EACCES: permission denied')
    assert.equal(others.length, 2)
    assert.equal((await rowOf(core, one)).damaged_at, null)
  })

  function refuse(t: TestContext, { store }: TestIntegrity, { digest }: Content): void {
    const read = store.read.bind(store)
    t.mock.method(store, 'read', async (asked: typeof digest) => {
      if (asked !== digest) return read(asked)
      throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
    })
  }
})

suite('the scrubber on a store that is not there', () => {
  const many = Array.from({ length: 14 }, (_, index) => aBlob(`blob ${index}`))

  async function openWithMany(): Promise<TestIntegrity & AsyncDisposable> {
    const core = await openTestIntegrity()
    await core.push('a', ...many)
    core.clock.advance(periodMs)
    return core
  }

  const marked = async (core: TestIntegrity) => {
    const rows = await core.db.read((tables) =>
      tables.selectFrom('blobs').where('damaged_at', 'is not', null).select('digest').execute(),
    )
    return rows.length
  }

  test('marks nothing, and fails each time', async () => {
    await using core = await openWithMany()
    const blobsFolder = `${core.folder}/sha256`
    await rename(blobsFolder, `${blobsFolder}-elsewhere`)
    const { scrubOnce } = aScrubber(core)
    for (let times = 0; times < 3; times++)
      await assert.rejects(scrubOnce(), /^Error: sha256:\w+ is missing, like all .*: is the store whole\?$/)
    assert.equal(await marked(core), 0)
    await rename(`${blobsFolder}-elsewhere`, blobsFolder)
    assert.equal((await scrubOnce()).filter(({ kind }) => kind === 'right').length, 14)
    assert.equal(await marked(core), 0)
  })

  test('marks a few that are there and wrong, then none any more, until one is right', async () => {
    await using core = await openWithMany()
    const { scrubOnce } = aScrubber(core)
    for (const blob of many) await writeFile(core.fileOf(blob), blob.bytes.toReversed())
    await assert.rejects(scrubOnce(), /^Error: 14 blobs in a row are no good, .*: is the store whole\?$/)
    assert.equal(await marked(core), 10)
  })

  test('counts anew after one that is right', async () => {
    await using core = await openWithMany()
    const sorted = many.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
    for (const [index, blob] of sorted.entries()) if (index !== 6) await rm(core.fileOf(blob))
    assert.equal((await aScrubber(core).scrubOnce()).length, 14)
    assert.equal(await marked(core), 13)
  })

  test('marks them all when one is right after them', async () => {
    await using core = await openWithMany()
    for (const blob of many) await rm(core.fileOf(blob))
    const last = many.toSorted((a, b) => (a.digest < b.digest ? -1 : 1)).at(-1) as Content
    await writeFile(core.fileOf(last), last.bytes)
    const scrubbed = await aScrubber(core).scrubOnce()
    assert.equal(scrubbed.filter(({ kind }) => kind === 'damaged').length, 13)
    assert.equal(await marked(core), 13)
  })
})

suite('the plan of the scrubber', () => {
  const gigabyte = 1e9

  test('reads a small store at the lowest rate, as late as it can', () => {
    const { bytesPerSecond, dueAgeMs } = planScrub(gigabyte, periodMs)
    assert.equal(bytesPerSecond, leastBytesPerSecond)
    assert.ok(dueAgeMs > 26 * dayMs && dueAgeMs < 27 * dayMs, `${dueAgeMs / dayMs} days`)
    assert.deepEqual(planScrub(0, periodMs), { bytesPerSecond: leastBytesPerSecond, dueAgeMs: 27 * dayMs })
  })

  test('reads a large one all the time, just fast enough', () => {
    const { bytesPerSecond, dueAgeMs } = planScrub(100_000 * gigabyte, periodMs)
    assert.ok(Math.abs((bytesPerSecond * periodMs) / 1000 / (100_000 * gigabyte) - 10 / 9) < 0.001)
    assert.ok(dueAgeMs < hourMs / 1000)
  })

  test('leaves time to read everything between "due" and the end of the period, whatever the size', () => {
    for (let bytes = 1; bytes < 1e18; bytes *= 10) {
      const { bytesPerSecond, dueAgeMs } = planScrub(bytes, periodMs)
      assert.ok(dueAgeMs >= 0)
      assert.ok(dueAgeMs + (bytes / bytesPerSecond) * 1000 <= periodMs * 0.91, String(bytes))
    }
  })
})
