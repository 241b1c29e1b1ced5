import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Kysely } from 'kysely'
import { at, dayMs, openTestCore, recount, type TestCore } from '../../../test/core.ts'
import { anImage, aReferrer, type Image } from '../../../test/images.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { isFault } from '../../base/fault.ts'

const subject = anImage({ seed: 'subject' })
const many = 170

/** A subject with so many referrers that one transaction cannot take them all, and one of these with one of its own. */
async function pushMany(core: TestCore): Promise<readonly Image[]> {
  const referrers = Array.from({ length: many }, (_, i) => aReferrer(subject.manifest, { seed: 'r', fields: { i } }))
  const [first] = referrers
  const deep = first === undefined ? [] : [aReferrer(first.manifest, { seed: 'deep' })]
  await core.pushImage('a', subject, 'v1')
  for (const referrer of [...referrers, ...deep]) await core.pushImage('a', referrer)
  return [...referrers, ...deep]
}

const manifestsLeft = (core: TestCore) =>
  core.db.read((tables) => tables.selectFrom('manifests').select('digest').execute())

const repositoryRow = (core: TestCore) =>
  core.db.read((tables) => tables.selectFrom('repositories').select('manifest_count').executeTakeFirstOrThrow())

const isUnknown = (error: unknown) => isFault(error, 'manifestUnknown')

/** Ends the deletion as if the process had died after so many transactions. */
async function dieAfter(core: TestCore, transactions: number, t: { mock: typeof import('node:test').mock }) {
  const write = core.db.write.bind(core.db)
  let left = transactions
  const mocked = t.mock.method(core.db, 'write', async (fn: (tables: Kysely<Tables>) => Promise<unknown>) => {
    if (left-- === 0) throw new Error('died here')
    return write(fn)
  })
  await assert.rejects(core.deleteManifest('a', subject.manifest.digest), /died here/)
  mocked.mock.restore()
}

suite('deleting a manifest with many referrers', () => {
  test('takes all of them, in transactions of fifty at most', async (t) => {
    await using core = await openTestCore()
    await pushMany(core)
    const write = core.db.write.bind(core.db)
    const counts: number[] = [(await manifestsLeft(core)).length]
    t.mock.method(core.db, 'write', async (fn: (tables: Kysely<Tables>) => Promise<unknown>) => {
      const result = await write(fn)
      counts.push((await manifestsLeft(core)).length)
      return result
    })
    await core.deleteManifest('a', subject.manifest.digest)
    assert.deepEqual(await manifestsLeft(core), [])
    const steps = counts.slice(1).map((count, index) => (counts[index] ?? 0) - count)
    assert.ok(Math.max(...steps) <= 50, steps.join(' '))
    assert.equal((await repositoryRow(core)).manifest_count, 0)
    assert.equal((await core.registry.usageOf(at('a'))).manifestBytes, 0)
    const notes = await core.db.read((tables) => tables.selectFrom('deleted_subjects').selectAll().execute())
    assert.deepEqual(notes, [])
  })

  test('that is cut short leaves what is whole, and the next collection takes the rest', async (t) => {
    await using core = await openTestCore()
    const referrers = await pushMany(core)
    await dieAfter(core, 2, t)
    await assert.rejects(core.registry.getManifest(at('a'), subject.manifest), isUnknown)
    const left = await manifestsLeft(core)
    assert.ok(left.length > 0 && left.length < referrers.length)
    const page = await core.registry.listReferrers(at('a'), subject.manifest.digest, undefined, {
      limit: 1000,
      last: '',
    })
    for (const { digest } of page.entries) await core.registry.getManifest(at('a'), { digest })
    assert.deepEqual(await core.registry.usageOf(at('a')), (await recount(core.db))['berth/a'])

    const told = await core.collect({ dryRun: true })
    const gone = await core.collect()
    assert.equal(gone.length, left.length)
    assert.deepEqual(new Set(gone.map(({ name }) => name)), new Set(left.map(({ digest }) => digest)))
    assert.deepEqual(new Set(told.map(({ name }) => name)), new Set(gone.map(({ name }) => name)))
    assert.deepEqual(await manifestsLeft(core), [])
    assert.deepEqual(await core.collect(), [])
  })

  test('spares what is pushed afterwards: new referrers, the subject, and a referrer that is pushed again', async (t) => {
    await using core = await openTestCore()
    await pushMany(core)
    await dieAfter(core, 1, t)
    const fresh = aReferrer(subject.manifest, { seed: 'fresh' })
    const left = new Set((await manifestsLeft(core)).map(({ digest }) => digest))
    const again = Array.from({ length: many }, (_, i) =>
      aReferrer(subject.manifest, { seed: 'r', fields: { i } }),
    ).find(({ manifest }) => left.has(manifest.digest))
    assert.ok(again)
    const kept = [subject, fresh, again]
    for (const image of kept) await core.pushImage('a', image, ...(image === subject ? ['v1'] : []))
    await core.collect()
    assert.deepEqual(
      (await manifestsLeft(core)).map(({ digest }) => digest).sort(),
      kept.map(({ manifest }) => manifest.digest as string).sort(),
    )
    core.clock.advance(2 * dayMs)
    await core.collect({ untaggedMs: dayMs })
    for (const { config, layers, manifest } of kept) {
      await core.registry.getManifest(at('a'), manifest)
      for (const blob of [config, ...layers]) assert.equal(await core.has('a', blob), true)
    }
    assert.deepEqual(await core.registry.usageOf(at('a')), (await recount(core.db))['berth/a'])
  })

  test('a few go together with it, in one transaction', async (t) => {
    await using core = await openTestCore()
    await core.pushImage('a', subject, 'v1')
    for (const seed of ['one', 'two']) await core.pushImage('a', aReferrer(subject.manifest, { seed }))
    const write = t.mock.method(core.db, 'write')
    await core.deleteManifest('a', subject.manifest.digest)
    assert.equal(write.mock.callCount(), 1)
    assert.deepEqual(await manifestsLeft(core), [])
  })
})
