/** One process is stopped at a certain point, and another one collects (or pushes) meanwhile. */
import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import type { Digest } from '@berth/oci'
import { at, dayMs, once, openTestProcesses, type TestProcess } from '../../../../test/core.ts'
import { aBlob, anImage, type Content } from '../../../../test/images.ts'
import { systemClock } from '../../../base/clock.ts'
import { isFault } from '../../../base/fault.ts'

const blob = aBlob('wanted by one, collected by the other')

/** What goes without any grace. Two milliseconds, because what came about at this very moment is not old enough. */
async function collect({ collector }: TestProcess, uploadExpiryMs = dayMs, untaggedMs?: number): Promise<string[]> {
  await new Promise((resolve) => setTimeout(resolve, 2))
  const gone: string[] = []
  for await (const batch of collector.collect({ graceMs: 0, uploadExpiryMs, untaggedMs })) {
    gone.push(...batch.map(({ reason }) => reason))
  }
  return gone
}

/** Stops the next call of a method before it does anything, or after it has done everything. */
function stop<Name extends 'commit' | 'delete'>(
  t: TestContext,
  { store }: TestProcess,
  name: Name,
  where: 'before' | 'after',
) {
  const reached = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const method = store[name].bind(store) as (...given: unknown[]) => Promise<unknown>
  const mocked = t.mock.method(store as unknown as Record<Name, typeof method>, name, async (...given: unknown[]) => {
    mocked.mock.restore()
    const result = where === 'after' ? await method(...given) : undefined
    reached.resolve()
    await goOn.promise
    return where === 'after' ? result : method(...given)
  })
  return { reached: reached.promise, goOn: goOn.resolve }
}

const push = ({ registry }: TestProcess, { digest, bytes }: Content) => registry.pushBlob(at('a'), digest, once(bytes))

/** What comes before the request that closes the push; the result sends that one. */
const pushes = {
  'in one request': async (process: TestProcess, content: Content) => () => push(process, content),
  // As docker does: the closing request finds the session, which an earlier one has begun.
  async 'in several requests'({ registry }: TestProcess, { digest, bytes }: Content) {
    const { session } = await registry.startUpload(at('a'))
    await registry.appendToUpload(at('a'), session, { bytes: once(bytes) })
    return () => registry.finishUpload(at('a'), session, digest)
  },
}

/** The row is there, unlinked, and old enough to go. */
async function leaveUnlinked(process: TestProcess, content = blob): Promise<void> {
  await push(process, content)
  await process.registry.deleteBlob(at('a'), content.digest)
}

async function assertReadable({ registry, store }: TestProcess): Promise<void> {
  assert.equal((await registry.getBlob(at('a'), blob.digest)).size, blob.bytes.length)
  assert.deepEqual(await store.stat(blob.digest), { size: blob.bytes.length })
}

async function twoProcesses() {
  const processes = await openTestProcesses(2, systemClock)
  const [one, other] = processes
  assert.ok(one && other)
  return { one, other, [Symbol.asyncDispose]: () => processes[Symbol.asyncDispose]() }
}

for (const [how, begin] of Object.entries(pushes)) {
  suite(`a push ${how}`, () => {
    for (const where of ['before', 'after'] as const) {
      test(`that is ${where} moving its bytes to their place keeps the collection from the blob`, async (t) => {
        await using processes = await twoProcesses()
        const { one, other } = processes
        await leaveUnlinked(one)
        const close = await begin(one, blob)
        const commit = stop(t, one, 'commit', where)
        const pushing = close()
        await commit.reached
        const gone = await collect(other)
        commit.goOn()
        await pushing
        assert.deepEqual(gone, [])
        await assertReadable(other)
      })
    }

    test('of a blob whose bytes are being collected waits, and puts its own in their place', async (t) => {
      await using processes = await twoProcesses()
      const { one, other } = processes
      await leaveUnlinked(one)
      const close = await begin(one, blob)
      const removal = stop(t, other, 'delete', 'before')
      const collecting = collect(other)
      await removal.reached
      const commit = t.mock.method(one.store, 'commit')
      const pushing = close()
      await new Promise((resolve) => setTimeout(resolve, 50)) // time enough to do it wrong
      const stored = commit.mock.callCount()
      removal.goOn()
      assert.deepEqual(await collecting, ['unlinked blob'])
      await pushing
      assert.equal(stored, 0)
      await assertReadable(other)
    })
  })
}

suite('a push', () => {
  test('of a blob whose bytes are still going when the delete of others has failed waits, too', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    const lost = aBlob('whose delete fails')
    await leaveUnlinked(one)
    await leaveUnlinked(one, lost)
    const failed = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const remove = other.store.delete.bind(other.store)
    t.mock.method(other.store, 'delete', async (digest: Digest) => {
      if (digest === lost.digest) {
        failed.resolve()
        throw new Error('the store is out of order')
      }
      await goOn.promise
      return remove(digest)
    })
    const collecting = assert.rejects(collect(other), /out of order/)
    await failed.promise
    const commit = t.mock.method(one.store, 'commit')
    const pushing = push(one, blob)
    await new Promise((resolve) => setTimeout(resolve, 50)) // time enough to do it wrong
    const stored = commit.mock.callCount()
    goOn.resolve()
    await collecting
    await pushing
    assert.equal(stored, 0)
    await assertReadable(other)
  })

  test('that stood still until its session expired and its blob was collected links nothing', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    const commit = stop(t, one, 'commit', 'after')
    const pushing = push(one, blob)
    await commit.reached
    // As if it had given no sign of life for half a minute.
    await other.db.write((tables) => tables.updateTable('upload_sessions').set({ writer_until: '2020' }).execute())
    assert.deepEqual(await collect(other, 0), ['abandoned upload'])
    assert.deepEqual(await collect(other), ['unlinked blob'])
    commit.goOn()
    await assert.rejects(pushing, (error) => isFault(error, 'uploadBusy'))
    await assert.rejects(other.registry.getBlob(at('a'), blob.digest), (error) => isFault(error, 'blobUnknown'))
    assert.deepEqual(await collect(other), [])
  })
})

suite('a push whose database has crashed, and has lost what was not synced,', () => {
  test('links nothing, since its blob may have been collected', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await leaveUnlinked(one)
    const commit = stop(t, one, 'commit', 'after')
    const pushing = push(one, blob)
    await commit.reached
    // The session, claim included, was made a little earlier.
    await other.db.write((tables) => tables.updateTable('upload_sessions').set({ committing_digest: null }).execute())
    assert.deepEqual(await collect(other), ['unlinked blob'])
    commit.goOn()
    await assert.rejects(pushing, (error) => isFault(error, 'uploadBusy'))
    await assert.rejects(other.registry.getBlob(at('a'), blob.digest), (error) => isFault(error, 'blobUnknown'))
    await push(one, blob)
    await assertReadable(other)
  })
})

suite('a mount', () => {
  test('of a blob whose bytes are being collected finds nothing to mount', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await leaveUnlinked(one)
    const removal = stop(t, other, 'delete', 'before')
    const collecting = collect(other)
    await removal.reached
    const mounted = await one.registry.mountBlob(at('b'), blob.digest, undefined, () => true)
    removal.goOn()
    await collecting
    assert.equal(mounted, false)
    assert.equal(await one.registry.mountBlob(at('b'), blob.digest, 'a', () => true), false)
  })

  test('keeps bytes whose other link has just gone', async () => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await push(one, blob)
    assert.equal(await other.registry.mountBlob(at('b'), blob.digest, 'a', () => true), true)
    await one.registry.deleteBlob(at('a'), blob.digest)
    const image = anImage({ config: blob, fields: { layers: [] } })
    await other.registry.putManifest(at('b'), { tag: 'v1' }, image.manifest.mediaType, image.manifest.bytes)
    assert.deepEqual(await collect(one), [])
    assert.deepEqual(await one.store.stat(blob.digest), { size: blob.bytes.length })
  })
})

/** A collection does something else between finding what may go and the transactions that take it away. */
async function collectAround(
  t: TestContext,
  process: TestProcess,
  meanwhile: () => Promise<unknown>,
  uploadExpiryMs = dayMs,
  untaggedMs?: number,
): Promise<string[]> {
  const write = process.db.write.bind(process.db)
  const mocked = t.mock.method(process.db, 'write', async (...given: Parameters<typeof write>) => {
    mocked.mock.restore()
    await meanwhile()
    return write(...given)
  })
  const gone = await collect(process, uploadExpiryMs, untaggedMs)
  assert.equal(mocked.mock.callCount(), 1, 'something was to be taken away')
  return gone
}

suite('what was found to be of no use, but has not gone yet, stays when meanwhile', () => {
  test('a manifest names the blob', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await push(one, blob)
    const { manifest } = anImage({ config: blob, fields: { layers: [] } })
    const naming = () => one.registry.putManifest(at('a'), { tag: 'v1' }, manifest.mediaType, manifest.bytes)
    assert.deepEqual(await collectAround(t, other, naming), [])
    await assertReadable(other)
  })

  test('the blob is pushed again', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await push(one, blob)
    assert.deepEqual(await collectAround(t, other, () => push(one, blob)), [])
    await assertReadable(other)
  })

  test('an unlinked blob is about to be pushed again', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await leaveUnlinked(one)
    const commit = stop(t, one, 'commit', 'after')
    let pushing: Promise<unknown> | undefined
    const begin = async () => {
      pushing = push(one, blob)
      await commit.reached
    }
    const gone = await collectAround(t, other, begin)
    commit.goOn()
    await pushing
    assert.deepEqual(gone, [])
    await assertReadable(other)
  })

  test('the client of an upload has come back', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    const { session } = await one.registry.startUpload(at('a'))
    await one.registry.appendToUpload(at('a'), session, { bytes: once(blob.bytes) })
    const claim = () =>
      one.db.write((tables) =>
        tables.updateTable('upload_sessions').set({ writer: 'it', writer_until: '2999' }).execute(),
      )
    assert.deepEqual(await collectAround(t, other, claim, 0), [])
    assert.equal((await one.registry.getUpload(at('a'), session)).offset, blob.bytes.length)
  })

  test('an untagged manifest gets a tag', async (t) => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await push(one, blob)
    const { manifest } = anImage({ config: blob, fields: { layers: [] } })
    const put = (reference: Parameters<typeof one.registry.putManifest>[1]) =>
      one.registry.putManifest(at('a'), reference, manifest.mediaType, manifest.bytes)
    await put({ digest: manifest.digest })
    const tag = () => put({ tag: 'v1' })
    assert.deepEqual(await collectAround(t, other, tag, dayMs, 0), [])
    await one.registry.getManifest(at('a'), { tag: 'v1' })
  })
})

suite('a manifest', () => {
  test('whose blob has just gone is refused, so that the client pushes it again', async () => {
    await using processes = await twoProcesses()
    const { one, other } = processes
    await push(one, blob)
    await collect(other)
    const { manifest } = anImage({ config: blob, fields: { layers: [] } })
    const putting = one.registry.putManifest(at('a'), { tag: 'v1' }, manifest.mediaType, manifest.bytes)
    await assert.rejects(putting, (error) => isFault(error, 'manifestBlobsUnknown'))
  })
})
