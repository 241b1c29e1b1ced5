import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import type { Digest } from '@berth/oci'
import { at, dayMs, hourMs, once, openTestCore, type TestCore } from '../../../../test/core.ts'
import { aBlob, anImage, anIndex, aReferrer } from '../../../../test/images.ts'
import { MemoryObjects } from '../../../../test/memory-objects.ts'
import { ObjectBlobStore } from '../../../backends/blobs/object-blob-store.ts'
import { batches } from '../../../base/batches.ts'
import { isFault } from '../../../base/fault.ts'
import type { Garbage } from './collect.ts'

/** What went, sorted: `reason name` or `reason repository name`. */
const brief = (garbage: readonly Garbage[]) =>
  garbage
    .map(({ reason, repository, name }) => [reason, ...(repository === undefined ? [] : [repository]), name].join(' '))
    .sort()

type Mocking = Pick<TestContext, 'mock'>

const isFaultOf = (code: Parameters<typeof isFault>[1]) => (error: unknown) => isFault(error, code)

const rowsOf = (core: TestCore) => ({
  blobs: () => core.db.read((tables) => tables.selectFrom('blobs').select('digest').orderBy('digest').execute()),
  uploads: () => core.db.read((tables) => tables.selectFrom('upload_sessions').select('id').execute()),
})

suite('garbage collection of blobs', () => {
  test('a blob that no manifest ever names goes after the grace, with its link, and not before', async () => {
    await using core = await openTestCore()
    const blob = aBlob('nobody names it')
    await core.push('a', blob)
    core.clock.advance(hourMs)
    assert.deepEqual(await core.collect(), [])
    assert.equal(await core.has('a', blob), true)
    core.clock.advance(1)
    assert.deepEqual(brief(await core.collect()), [
      `unlinked blob ${blob.digest}`,
      `unused link berth/a ${blob.digest}`,
    ])
    assert.equal(await core.has('a', blob), false)
    assert.equal(await core.store.stat(blob.digest), undefined)
    assert.deepEqual(await rowsOf(core).blobs(), [])
    assert.deepEqual(await core.collect(), [])
  })

  test('says since when, and how many bytes come back', async () => {
    await using core = await openTestCore()
    const blob = aBlob('twelve bytes')
    const since = new Date(core.clock.now()).toISOString()
    await core.push('a', blob)
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect(), [
      { reason: 'unused link', name: blob.digest, repository: 'berth/a', since, bytes: 0 },
      { reason: 'unlinked blob', name: blob.digest, since, bytes: 12 },
    ])
  })

  test('what a manifest names stays for ever', async () => {
    await using core = await openTestCore()
    const image = anImage({ layers: 2 })
    await core.pushImage('a', image, 'v1')
    core.clock.advance(400 * dayMs)
    assert.deepEqual(await core.collect(), [])
    for (const blob of [image.config, ...image.layers]) assert.equal(await core.has('a', blob), true)
  })

  test('blobs of a deleted manifest go a grace after the deletion, those that another one names stay', async () => {
    await using core = await openTestCore()
    const [one, two] = [anImage({ layers: 2, seed: 'x' }), anImage({ layers: 1, seed: 'x', fields: { other: 1 } })]
    await core.pushImage('a', one, 'one')
    await core.pushImage('a', two, 'two')
    core.clock.advance(dayMs)
    await core.deleteManifest('a', one.manifest.digest)
    core.clock.advance(hourMs)
    assert.deepEqual(await core.collect(), [])
    core.clock.advance(1)
    const gone = one.layers[1]?.digest
    assert.deepEqual(brief(await core.collect()), [`unlinked blob ${gone}`, `unused link berth/a ${gone}`])
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect(), [])
  })

  test('bytes stay while any repository links them, also one of another registry', async () => {
    await using core = await openTestCore()
    const image = anImage()
    const layer = image.layers[0] ?? image.config
    await core.pushImage('a', image, 'v1')
    await core.registry.pushBlob(at('b', 'other'), layer.digest, once(layer.bytes))
    core.clock.advance(dayMs)
    assert.deepEqual(brief(await core.collect()), [`unused link other/b ${layer.digest}`])
    assert.equal(await core.has('a', layer), true)
    await core.deleteManifest('a', image.manifest.digest)
    core.clock.advance(dayMs)
    assert.ok(brief(await core.collect()).includes(`unlinked blob ${layer.digest}`))
  })

  test('a deleted blob can no longer be read, and its bytes go after the grace', async () => {
    await using core = await openTestCore()
    const blob = aBlob('deleted')
    await core.push('a', blob)
    await core.registry.deleteBlob(at('a'), blob.digest)
    core.clock.advance(hourMs)
    assert.deepEqual(await core.collect(), [])
    assert.deepEqual(await core.store.stat(blob.digest), { size: 7 })
    core.clock.advance(1)
    assert.deepEqual(brief(await core.collect()), [`unlinked blob ${blob.digest}`])
    assert.equal(await core.store.stat(blob.digest), undefined)
  })

  test('a blob that is pushed or mounted again begins its grace anew', async () => {
    await using core = await openTestCore()
    const blob = aBlob('again')
    await core.push('a', blob)
    await core.push('b', blob)
    for (const renew of [
      () => core.push('a', blob),
      () => core.registry.mountBlob(at('a'), blob.digest, 'b', () => true),
    ]) {
      core.clock.advance(hourMs)
      await renew()
      await core.push('b', blob)
      core.clock.advance(hourMs)
      assert.deepEqual(await core.collect(), [])
    }
    core.clock.advance(1)
    assert.equal((await core.collect()).length, 3)
  })

  test('a blob that was unlinked is there again when it is pushed, and stays for another grace', async () => {
    await using core = await openTestCore()
    const blob = aBlob('back')
    await core.push('a', blob)
    await core.registry.deleteBlob(at('a'), blob.digest)
    core.clock.advance(hourMs)
    await core.push('b', blob)
    core.clock.advance(hourMs)
    assert.deepEqual(await core.collect({ dryRun: true }), [])
    assert.deepEqual(await core.collect(), [])
    assert.equal(await core.has('b', blob), true)
  })

  test('a link made under a sparse manifest that names the blob already is no garbage', async () => {
    await using core = await openTestCore()
    await core.db.write((tables) => tables.updateTable('registries').set({ sparse_manifests_enabled: 1 }).execute())
    const image = anImage({ layers: 2 })
    const [first, second] = image.layers
    await core.push('a', image.config, ...(first ? [first] : []))
    await core.putManifest('a', image.manifest, 'sparse')
    if (second) await core.push('a', second)
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect({ dryRun: true }), [])
    assert.deepEqual(await core.collect(), [])
  })

  test('what is needed stays, whatever the review queues say', async () => {
    await using core = await openTestCore()
    const image = anImage()
    await core.pushImage('a', image, 'v1')
    await core.db.write(async (tables) => {
      await tables.updateTable('repository_blobs').set({ unused_since: '2020' }).execute()
      await tables.updateTable('blobs').set({ unlinked_since: '2020' }).execute()
    })
    assert.deepEqual(await core.collect(), [])
    for (const blob of [image.config, ...image.layers]) assert.equal(await core.has('a', blob), true)
    assert.equal((await rowsOf(core).blobs()).length, 2)
  })

  test('a row without bytes, as a collection leaves it that was cut short, is taken by the next', async () => {
    await using core = await openTestCore()
    const blob = aBlob('half gone')
    await core.push('a', blob)
    await core.registry.deleteBlob(at('a'), blob.digest)
    await core.store.delete(blob.digest)
    core.clock.advance(dayMs)
    assert.deepEqual(brief(await core.collect()), [`unlinked blob ${blob.digest}`])
    assert.deepEqual(await rowsOf(core).blobs(), [])
  })

  test('and a push heals it', async () => {
    await using core = await openTestCore()
    const blob = aBlob('half gone')
    await core.push('a', blob)
    await core.registry.deleteBlob(at('a'), blob.digest)
    await core.store.delete(blob.digest)
    await core.push('a', blob)
    assert.deepEqual(await core.store.stat(blob.digest), { size: 9 })
    assert.equal(await core.has('a', blob), true)
  })

  test('links that went are made durable before any bytes go', async (t) => {
    await using core = await openTestCore()
    await core.push('a', aBlob('one'), aBlob('other'))
    core.clock.advance(dayMs)
    const order: string[] = []
    const [makeDurable, remove] = [core.db.makeDurable.bind(core.db), core.store.delete.bind(core.store)]
    t.mock.method(core.db, 'makeDurable', async () => {
      const links = await core.db.read((tables) => tables.selectFrom('repository_blobs').selectAll().execute())
      await makeDurable()
      order.push(`durable with ${links.length} links`)
    })
    t.mock.method(core.store, 'delete', async (digest: Digest) => {
      order.push('bytes')
      await remove(digest)
    })
    await core.collect()
    assert.deepEqual(order, ['durable with 0 links', 'bytes', 'bytes'])
  })

  test('a store that fails leaves the rows, and the next collection finds them', async (t) => {
    await using core = await openTestCore()
    const blobs = [aBlob('one'), aBlob('two')]
    await core.push('a', ...blobs)
    core.clock.advance(dayMs)
    const failing = t.mock.method(core.store, 'delete', async () => {
      throw new Error('the store is away')
    })
    await assert.rejects(core.collect(), /the store is away/)
    failing.mock.restore()
    assert.equal((await rowsOf(core).blobs()).length, 2)
    assert.equal((await core.collect()).filter(({ reason }) => reason === 'unlinked blob').length, 2)
    for (const { digest } of blobs) assert.equal(await core.store.stat(digest), undefined)
  })
})

suite('bytes that are also those of the place that everything has come from', () => {
  const arrive = (core: TestCore) =>
    core.db.write((tables) =>
      tables
        .insertInto('moves')
        .values({
          ...{ id: 'a move', state: 'arrived', holder: '', until: '', begun_at: '' },
          ...{ database: 'there', blobs: 'here', shares_blobs: 1 },
        })
        .execute(),
    )

  const reasonsOf = (garbage: readonly Garbage[]) => garbage.map(({ reason }) => reason)

  test('stay, and nobody is told that they would go', async () => {
    await using core = await openTestCore()
    await core.push('a', aBlob('shared'))
    await arrive(core)
    core.clock.advance(dayMs)
    assert.deepEqual(reasonsOf(await core.collect({ dryRun: true })), ['unused link'])
    assert.deepEqual(reasonsOf(await core.collect()), ['unused link'])
    assert.deepEqual(await core.collect({ dryRun: true }), [])
  })

  test('stay also where everything arrives while a collection is at work', async (t) => {
    await using core = await openTestCore()
    const blob = aBlob('shared')
    await core.push('a', blob)
    core.clock.advance(dayMs)
    const makeDurable = core.db.makeDurable.bind(core.db)
    t.mock.method(core.db, 'makeDurable', async () => {
      await arrive(core)
      await makeDurable()
    })
    assert.deepEqual(reasonsOf(await core.collect()), ['unused link'])
    assert.notEqual(await core.store.stat(blob.digest), undefined)
  })
})

suite('bytes that cannot be removed', () => {
  test('stay, with their rows; all others go, and the reason is told at the end', async (t) => {
    await using core = await openTestCore()
    const then = '2020-01-01T00:00:00.000Z'
    const rows = Array.from({ length: 4_100 }, (_, n) => {
      const { digest } = aBlob(`blob ${n}`)
      return { digest, size: 1, created_at: then, scrubbed_at: then, unlinked_since: then }
    })
    for (const some of batches(rows)) {
      await core.db.write((tables) => tables.insertInto('blobs').values(some).execute())
    }
    const [first, other] = rows.map(({ digest }) => digest).sort()
    t.mock.method(core.store, 'delete', async (digest: Digest) => {
      if (digest === first || digest === other) throw new Error('it is a folder')
      return true
    })
    await assert.rejects(core.collect(), /it is a folder/)
    assert.deepEqual(
      (await rowsOf(core).blobs()).map(({ digest }) => digest),
      [first, other],
    )
  })

  test('because the store is away › nothing more is tried', async (t) => {
    await using core = await openTestCore()
    await core.push('a', ...Array.from({ length: 120 }, (_, n) => aBlob(`blob ${n}`)))
    core.clock.advance(dayMs)
    const failing = t.mock.method(core.store, 'delete', async () => {
      throw new Error('the store is away')
    })
    await assert.rejects(core.collect(), /the store is away/)
    assert.equal(failing.mock.callCount(), 50)
  })
})

suite('garbage collection in an object store', () => {
  test('no transaction waits for more deletions than the store does at once', async (t) => {
    await using core = await openTestCore({ store: new ObjectBlobStore(new MemoryObjects()) })
    const { db, store } = core
    const blobs = Array.from({ length: 20 }, (_, n) => aBlob(`blob ${n}`))
    await core.push('a', ...blobs)
    core.clock.advance(dayMs)
    let deletions = 0
    const inTransactions: number[] = []
    const remove = store.delete.bind(store)
    t.mock.method(store, 'delete', (digest: Digest) => {
      deletions++
      return remove(digest)
    })
    const write = db.write.bind(db)
    t.mock.method(db, 'write', async (...given: Parameters<typeof write>) => {
      const before = deletions
      const result = await write(...given)
      if (deletions > before) inTransactions.push(deletions - before)
      return result
    })
    await core.collect()
    assert.deepEqual(inTransactions, [8, 8, 4])
    for (const { digest } of blobs) assert.equal(await store.stat(digest), undefined)
  })
})

suite('garbage collection of uploads', () => {
  test('an upload without a sign of life goes after its time, bytes included', async () => {
    await using core = await openTestCore()
    const { session } = await core.registry.startUpload(at('a'))
    await core.registry.appendToUpload(at('a'), session, { bytes: once(Buffer.from('five!')) })
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect(), [])
    core.clock.advance(1)
    const since = new Date(core.clock.now() - dayMs - 1).toISOString()
    assert.deepEqual(await core.collect(), [
      { reason: 'abandoned upload', name: session, repository: 'berth/a', since, bytes: 5 },
    ])
    assert.deepEqual(await Array.fromAsync(core.store.listSessions()), [])
    await assert.rejects(core.registry.getUpload(at('a'), session), isFaultOf('blobUploadInvalid'))
  })

  test('an upload whose writer is alive stays, however long its request takes', async () => {
    await using core = await openTestCore()
    const { session } = await core.registry.startUpload(at('a'))
    await core.registry.appendToUpload(at('a'), session, { bytes: once(Buffer.from('x')) })
    const claim = (until: number) =>
      core.db.write((tables) =>
        tables
          .updateTable('upload_sessions')
          .set({ writer: 'somebody', writer_until: new Date(core.clock.now() + until).toISOString() })
          .execute(),
      )
    core.clock.advance(2 * dayMs)
    await claim(1)
    assert.deepEqual(await core.collect({ dryRun: true }), [])
    assert.deepEqual(await core.collect(), [])
    await claim(-1)
    assert.deepEqual(brief(await core.collect()), [`abandoned upload berth/a ${session}`])
  })

  test('what the store keeps without a row goes after the same time', async () => {
    await using core = await openTestCore()
    const lost = await core.store.begin()
    await core.store.append(lost, 0, once(Buffer.from('lost')))
    core.clock.advance(dayMs)
    const { session } = await core.registry.startUpload(at('a'))
    await core.registry.appendToUpload(at('a'), session, { bytes: once(Buffer.from('x')) })
    assert.deepEqual(await core.collect(), [])
    core.clock.advance(1)
    assert.deepEqual(brief(await core.collect()), [`lost upload ${lost}`])
    assert.equal((await Array.fromAsync(core.store.listSessions())).length, 1)
  })

  test('bytes that an upload is about to link stay until the upload is abandoned, then they go as well', async (t) => {
    await using core = await openTestCore()
    const blob = aBlob('nearly')
    await core.push('a', blob)
    await core.registry.deleteBlob(at('a'), blob.digest)
    const session = await leaveUnlinked(t, core, blob)
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect(), [], 'the finish may be repeated')
    core.clock.advance(1)
    assert.deepEqual(brief(await core.collect()), [
      `abandoned upload berth/a ${session}`,
      `unlinked blob ${blob.digest}`,
    ])
  })

  test('bytes that an abandoned finish moved to their place get a row, and a grace', async (t) => {
    await using core = await openTestCore()
    const blob = aBlob('moved')
    const session = await leaveUnlinked(t, core, blob)
    core.clock.advance(2 * dayMs)
    assert.deepEqual(brief(await core.collect()), [`abandoned upload berth/a ${session}`])
    assert.deepEqual(await core.store.stat(blob.digest), { size: 5 })
    core.clock.advance(hourMs + 1)
    assert.deepEqual(brief(await core.collect()), [`unlinked blob ${blob.digest}`])
    assert.equal(await core.store.stat(blob.digest), undefined)
  })

  test('so does what a push in one go leaves that fails at its last step', async (t) => {
    await using core = await openTestCore()
    const blob = aBlob('whole')
    failOnce(t, core, 'the disk is full')
    await assert.rejects(core.push('a', blob), /the disk is full/)
    assert.deepEqual(await rowsOf(core).uploads(), [])
    assert.deepEqual(await Array.fromAsync(core.store.listSessions()), [])
    core.clock.advance(dayMs)
    assert.deepEqual(brief(await core.collect()), [`unlinked blob ${blob.digest}`])
    assert.equal(await core.store.stat(blob.digest), undefined)
  })

  /** A finish that died after the bytes had moved to their place. */
  async function leaveUnlinked(t: Mocking, core: TestCore, blob: { digest: Digest; bytes: Buffer }): Promise<string> {
    const { session } = await core.registry.startUpload(at('a'))
    await core.registry.appendToUpload(at('a'), session, { bytes: once(blob.bytes) })
    failOnce(t, core, 'died here')
    await assert.rejects(core.registry.finishUpload(at('a'), session, blob.digest), /died here/)
    return session
  }

  /** Makes the next transaction fail that follows a commit of the store. */
  function failOnce(t: Mocking, core: TestCore, message: string): void {
    const commit = core.store.commit.bind(core.store)
    const committing = t.mock.method(core.store, 'commit', async (...given: Parameters<typeof commit>) => {
      await commit(...given)
      committing.mock.restore()
      const write = t.mock.method(core.db, 'write', async () => {
        write.mock.restore()
        throw new Error(message)
      })
    })
  }
})

suite('garbage collection of manifests', () => {
  test('untagged manifests stay unless it is asked for', async () => {
    await using core = await openTestCore()
    const image = anImage()
    await core.pushImage('a', image)
    core.clock.advance(400 * dayMs)
    assert.deepEqual(await core.collect(), [])
    assert.deepEqual(brief(await core.collect({ untaggedMs: dayMs })), [
      `untagged manifest berth/a ${image.manifest.digest}`,
    ])
    await assert.rejects(core.registry.getManifest(at('a'), image.manifest), isFaultOf('manifestUnknown'))
    core.clock.advance(hourMs + 1)
    assert.equal((await core.collect()).length, 4, 'its blobs follow after a grace of their own')
  })

  test('a manifest is untagged from when its last tag went or moved, or it was pushed again', async () => {
    await using core = await openTestCore()
    const [one, two] = [anImage({ seed: 'one' }), anImage({ seed: 'two' })]
    await core.pushImage('a', one, 'v1', 'v2')
    await core.pushImage('a', two, 'keep')
    core.clock.advance(dayMs)
    await core.deleteManifest('a', 'v1')
    core.clock.advance(dayMs)
    await core.putManifest('a', two.manifest, 'v2')
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect({ untaggedMs: dayMs }), [])
    await core.putManifest('a', one.manifest)
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect({ untaggedMs: dayMs }), [])
    core.clock.advance(1)
    assert.deepEqual(brief(await core.collect({ untaggedMs: dayMs })), [
      `untagged manifest berth/a ${one.manifest.digest}`,
    ])
  })

  test('one whose only tag has moved to another manifest is untagged from then on', async () => {
    await using core = await openTestCore()
    const [one, two] = [anImage({ seed: 'one' }), anImage({ seed: 'two' })]
    await core.pushImage('a', one, 'latest')
    core.clock.advance(dayMs)
    await core.pushImage('a', two, 'latest')
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect({ untaggedMs: dayMs }), [])
    core.clock.advance(1)
    assert.deepEqual(brief(await core.collect({ untaggedMs: dayMs })), [
      `untagged manifest berth/a ${one.manifest.digest}`,
    ])
  })

  test('one that gets a tag again stays', async () => {
    await using core = await openTestCore()
    const image = anImage()
    await core.pushImage('a', image)
    await core.putManifest('a', image.manifest, 'v1')
    core.clock.advance(2 * dayMs)
    assert.deepEqual(await core.collect({ untaggedMs: dayMs }), [])
    await core.deleteManifest('a', 'v1')
    core.clock.advance(dayMs)
    assert.deepEqual(await core.collect({ untaggedMs: dayMs }), [], 'it counts from the deletion of the tag')
    core.clock.advance(1)
    assert.equal((await core.collect({ untaggedMs: dayMs })).length, 1)
  })

  test('children stay while an index of their repository names them, and go after it', async () => {
    await using core = await openTestCore()
    const children = [anImage({ seed: 'amd64' }), anImage({ seed: 'arm64' })]
    const index = anIndex(children.map(({ manifest }) => manifest))
    for (const child of children) await core.pushImage('a', child)
    await core.putManifest('a', index, 'v1')
    const [first] = children
    if (first) await core.pushImage('b', first)
    core.clock.advance(2 * dayMs)
    assert.deepEqual(brief(await core.collect({ untaggedMs: dayMs })), [
      `untagged manifest berth/b ${first?.manifest.digest}`,
    ])
    await core.deleteManifest('a', index.digest)
    core.clock.advance(dayMs)
    assert.deepEqual(
      (await core.collect({ untaggedMs: dayMs })).filter(({ reason }) => reason === 'untagged manifest'),
      [],
    )
    core.clock.advance(1)
    assert.deepEqual(
      brief(await core.collect({ untaggedMs: dayMs })),
      children.map(({ manifest }) => `untagged manifest berth/a ${manifest.digest}`).sort(),
    )
  })

  test('referrers stay while their subject does, and go with it; without one they are as any other', async () => {
    await using core = await openTestCore()
    const image = anImage()
    const signature = aReferrer(image.manifest, { seed: 'signature' })
    const countersignature = aReferrer(signature.manifest, { seed: 'countersignature' })
    const early = aReferrer(anImage({ seed: 'never pushed' }).manifest, { seed: 'early' })
    await core.pushImage('a', image, 'v1')
    await core.pushImage('a', countersignature)
    await core.pushImage('a', signature)
    await core.pushImage('a', early)
    core.clock.advance(2 * dayMs)
    assert.deepEqual(brief(await core.collect({ untaggedMs: dayMs })), [
      `untagged manifest berth/a ${early.manifest.digest}`,
    ])
    await core.deleteManifest('a', 'v1')
    core.clock.advance(2 * dayMs)
    const gone = (await core.collect({ untaggedMs: dayMs })).filter(({ bytes }) => bytes > 300)
    assert.deepEqual(
      brief(gone),
      [
        ...[signature, countersignature].map(
          ({ manifest }) => `referrer of an untagged manifest berth/a ${manifest.digest}`,
        ),
        `untagged manifest berth/a ${image.manifest.digest}`,
      ].sort(),
    )
    assert.deepEqual(await core.registry.usageOf(at('a')), {
      ...(await core.registry.usageOf(at('a'))),
      manifestBytes: 0,
    })
  })
})
