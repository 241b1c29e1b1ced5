import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once as onceEmitted } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { setImmediate as nextTick } from 'node:timers/promises'
import { at, once, processOn } from '../../../test/core.ts'
import { aBlob, anImage, type Content } from '../../../test/images.ts'
import { contents, fillStore, index, openFolderStore, rowsOf, type TestStore } from '../../../test/stores.ts'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import { readLastId } from '../../backends/db/last-ids.ts'
import { systemClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import type { Reason } from '../registry/collection/collect.ts'
import { type MigrationOptions, type Moved, migrate } from './migrate.ts'
import { MigrationError } from './migration-error.ts'
import { findMove } from './moves.ts'
import type { Progress } from './run.ts'
import { undoMove } from './undo.ts'

/** Filled once, then copied. */
const template = mkdtempSync(join(tmpdir(), 'berth-migrate-'))
before(async () => {
  await using store = await openFolderStore(template)
  await fillStore(store)
})
after(() => rmSync(template, { recursive: true }))

let source: TestStore
let target: TestStore
beforeEach(async () => {
  source = await openFolderStore(undefined, template)
  target = await openFolderStore()
})
afterEach(async () => {
  await source[Symbol.asyncDispose]()
  await target[Symbol.asyncDispose]()
})

function move(options: Partial<MigrationOptions> = {}, to = target): Promise<Moved | undefined> {
  return migrate({
    source,
    target: to,
    from: source.place,
    to: to.place,
    verify: 'sizes',
    clock: systemClock,
    signal: new AbortController().signal,
    ...options,
  })
}

/** What is to be in the target: garbage stays behind. */
async function expectedRows(): Promise<Record<string, unknown[]>> {
  const rows = await rowsOf(source)
  return { ...rows, blobs: (rows.blobs ?? []).filter((row) => row.unlinked_since === null) }
}

async function assertMoved(): Promise<void> {
  assert.deepEqual(await rowsOf(target), await expectedRows())
  const { tenants } = await rowsOf(source)
  assert.deepEqual(
    [await target.blobs.owner()],
    tenants?.map(({ id }) => id),
  )
  const digests = await Array.fromAsync(target.blobs.list())
  const { blobs = [] } = await rowsOf(target)
  const whole = blobs.filter((row) => row.damaged_at === null)
  assert.deepEqual(
    digests,
    whole.map((row) => row.digest),
  )
  for (const { digest, size } of whole) {
    const chunks = await Array.fromAsync(await target.blobs.read(digest as never), (chunk) => Buffer.from(chunk))
    assert.equal(aBlob(Buffer.concat(chunks)).digest, digest)
    assert.equal(Buffer.concat(chunks).length, size)
  }
}

const refused = (reason: RegExp) => (error: unknown) =>
  isFault(error, 'unavailable') && reason.test(error.detail.reason) && error.detail.retryAfterSeconds > 0

const push = (store: TestStore, seed: string, ...tags: string[]) => store.push('team/app', anImage({ seed }), ...tags)

const isAcknowledged = (pushed: Promise<unknown>) =>
  pushed.then(
    () => true,
    (error: unknown) => {
      if (!isFault(error, 'unavailable')) throw error
      return false
    },
  )

/** Progress that calls `act` the first time that a stage is reached. */
function atStage(stage: Progress['stage'], act: (progress: Progress) => void): (progress: Progress) => void {
  let acted = false
  return (progress) => {
    if (acted || progress.stage !== stage) return
    acted = true
    act(progress)
  }
}

/** Runs until a stage is reached, and is cut short there. */
async function moveUpTo(stage: Progress['stage'], options: Partial<MigrationOptions> = {}): Promise<void> {
  const interruption = new AbortController()
  const onProgress = atStage(stage, () => interruption.abort(new Error('Ctrl+C')))
  await assert.rejects(move({ ...options, signal: interruption.signal, onProgress }), /Ctrl\+C/)
}

const said = (reason: RegExp) => (error: unknown) => error instanceof MigrationError && reason.test(error.message)

async function* everything(store: Pick<TestStore, 'collector'>) {
  yield* store.collector.collect({ graceMs: 0, uploadExpiryMs: 1e9, untaggedMs: 0 })
}

/** Whatever nothing refers to goes at once. */
async function collect(store: Pick<TestStore, 'collector'>): Promise<Reason[]> {
  await new Promise((resolve) => setTimeout(resolve, 2)) // it must be older than "now"
  return (await Array.fromAsync(everything(store))).flat().map(({ reason }) => reason)
}

suite('migrate', () => {
  test('everything is in the target as it was in the source: rows, ids, bytes', async () => {
    const moved = await move()
    await assertMoved()
    for (const [table, rows] of Object.entries(await rowsOf(target))) assert.ok(rows.length > 0, table)
    assert.equal(moved?.rows.get('tags'), 6)
    assert.deepEqual([moved?.damagedBlobs, moved?.damagedManifests], [[], []])
    for (const reference of ['v1', 'latest', 'v2', 'both', 'annotated', 'old']) {
      const { bytes } = await target.registry.getManifest(at('team/app'), { tag: reference })
      assert.deepEqual(bytes, (await source.registry.getManifest(at('team/app'), { tag: reference })).bytes)
    }
  })

  test('garbage and what belongs to the old place stay behind', async () => {
    await move()
    assert.notEqual(await source.blobs.stat(contents.gone.digest), undefined)
    assert.equal(await target.blobs.stat(contents.gone.digest), undefined)
    for (const table of ['leases', 'login_failures', 'upload_sessions'] as const) {
      const count = ({ db }: TestStore) => db.read((tables) => tables.selectFrom(table).selectAll().execute())
      assert.notDeepEqual(await count(source), [])
      assert.deepEqual(await count(target), [], table)
    }
  })

  test('no id is given out twice, also not one whose row was gone before', async () => {
    await move()
    const last = ({ db }: TestStore) => db.read((tables) => readLastId(tables, 'manifests'))
    const greatest = Math.max(...((await rowsOf(target)).manifests ?? []).map(({ id }) => Number(id)))
    assert.ok((await last(source)) > greatest)
    assert.equal(await last(target), await last(source))
    await push(target, 'first', 'first')
    const { manifests = [] } = await rowsOf(target)
    assert.equal(Math.max(...manifests.map(({ id }) => Number(id))), (await last(source)) + 1)
  })

  test('more rows than a page and a batch hold', async () => {
    await source.db.write(async (tables) => {
      const { id: registry_id } = await tables.selectFrom('registries').select('id').executeTakeFirstOrThrow()
      const times = { created_at: 'then', updated_at: 'then' }
      for (let i = 0; i < 2_300; i++) {
        const name = `many/${i}`
        const { id } = await tables
          .insertInto('repositories')
          .values({ registry_id, name, ...times })
          .returning('id')
          .executeTakeFirstOrThrow()
        const tag = { repository_id: id, manifest_id: 1, ...times }
        await tables
          .insertInto('tags')
          .values({ ...tag, name: 'a' })
          .execute()
      }
    })
    const moved = await move()
    assert.equal(moved?.rows.get('tags'), 2_306)
    await assertMoved()
  })

  test('when it has moved, the same once more has nothing to do; to another place it is refused', async () => {
    await move()
    assert.equal(await move(), undefined)
    await using third = await openFolderStore()
    await assert.rejects(move({}, third), said(/everything has moved to .* already/))
  })

  test('what has moved may move on', async () => {
    await move()
    const before = await rowsOf(target)
    await using third = await openFolderStore()
    await migrate({
      ...{ source: target, target: third, from: target.place, to: third.place },
      ...{ verify: 'full', clock: systemClock, signal: new AbortController().signal },
    })
    assert.deepEqual(await rowsOf(third), before)
    await assert.rejects(push(target, 'late'), refused(/has moved/))
  })

  test('a database alone, whose blobs stay where they are', async () => {
    const shared = { ...target, blobs: source.blobs, place: { ...target.place, blobs: source.place.blobs } }
    await move({}, shared)
    assert.deepEqual(await rowsOf(target), await rowsOf(source), 'garbage too, since its bytes are there')
    assert.deepEqual(await Array.fromAsync(target.blobs.list()), [])
    assert.notEqual(await source.blobs.stat(contents.gone.digest), undefined)
  })
})

suite('migrate, while servers go on', () => {
  test('every push that was acknowledged is in the target; the others were told to come again', async () => {
    await using server = await openFolderStore(source.folder)
    const acknowledged: string[] = []
    let ended = false
    const pushing = (async () => {
      for (let i = 0; !ended; i++) {
        if (await isAcknowledged(push(server, `live ${i}`, `live-${i}`))) acknowledged.push(`live-${i}`)
      }
    })()
    while (acknowledged.length < 3) await nextTick()
    await move()
    ended = true
    await pushing
    await assertMoved()
    for (const tag of acknowledged) await target.registry.getManifest(at('team/app'), { tag })
  })

  test('changes are refused in the last stages only, and reads never', async () => {
    const tried: Promise<unknown>[] = []
    const taken: Record<string, boolean> = {}
    const stages = ['blobs', 'rows', 'rest', 'verification'] as const
    const change = () => source.db.write((tables) => tables.selectFrom('tags').selectAll().execute())
    const hooks = stages.map((stage) =>
      atStage(stage, () => {
        const changed = isAcknowledged(change()).then((done) => {
          taken[stage] = done
        })
        tried.push(changed, source.registry.getManifest(at('team/app'), { tag: 'v1' }))
      }),
    )
    await move({ onProgress: (progress) => hooks.forEach((hook) => void hook(progress)) })
    await Promise.all(tried)
    assert.deepEqual(taken, { blobs: true, rows: true, rest: false, verification: false })
  })

  test('afterwards the source says where everything is, and answers reads', async () => {
    await move()
    await assert.rejects(push(source, 'late', 'late'), refused(/has moved to .*berth\.db/))
    await assert.rejects(source.registry.deleteManifest(at('team/app'), { tag: 'v1' }), refused(/has moved/))
    await source.registry.getManifest(at('team/app'), { tag: 'v1' })
    await push(target, 'first', 'first')
    assert.equal(await findMove(target.db), undefined, 'the target is a store like any other')
  })

  test('until everything is there, the target takes no changes', async () => {
    await moveUpTo('verification')
    await assert.rejects(push(target, 'early', 'early'), refused(/until everything has come from/))
  })
})

suite('migrate, cut short', () => {
  for (const stage of ['blobs', 'rows', 'rest', 'verification'] as const) {
    test(`during ${stage} › the source goes on, and the next run completes it`, async () => {
      await moveUpTo(stage)
      assert.deepEqual([(await findMove(source.db))?.state, (await findMove(source.db))?.holder], ['copying', ''])
      await push(source, 'meanwhile', 'meanwhile')
      await move()
      await assertMoved()
      await target.registry.getManifest(at('team/app'), { tag: 'meanwhile' })
    })
  }

  test('the next run copies only what is not there', async () => {
    await moveUpTo('verification')
    let bytes = 0
    await push(source, 'meanwhile', 'meanwhile')
    await move({ onProgress: (progress) => (bytes = Math.max(bytes, progress.bytes)) })
    assert.ok(bytes > 0 && bytes < 1_000, `${bytes} bytes`)
    await assertMoved()
  })

  test('the source changes between the runs: pushes, deletions, collections, and what was collected comes back', async () => {
    await moveUpTo('verification')
    const { registry } = source
    await push(source, 'new', 'new', 'v1')
    await registry.deleteManifest(at('team/app'), { tag: 'latest' })
    await registry.deleteManifest(at('team/app'), { digest: index.digest })
    await registry.deleteManifest(at('team/app'), { digest: contents.other.manifest.digest })
    await collect(source)
    assert.equal(await source.blobs.stat(contents.unused.digest), undefined)
    await moveUpTo('verification')
    assert.equal(await target.blobs.stat(contents.unused.digest), undefined)
    await push(source, 'other', 'v2')
    await registry.pushBlob(at('other'), contents.unused.digest, once(contents.unused.bytes))
    await move()
    await assertMoved()
  })

  test('between many runs, whatever happens to the source', async () => {
    const images = Array.from({ length: 6 }, (_, i) => anImage({ seed: `image ${i % 4}`, layers: 1 + (i % 3) }))
    let seed = 1
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed % below
    }
    const acts = [
      () => source.push(`r/${random(3)}`, images[random(6)]!, `t${random(4)}`),
      () => source.push(`r/${random(3)}`, images[random(6)]!),
      () => source.registry.deleteManifest(at(`r/${random(3)}`), { tag: `t${random(4)}` }),
      () => source.registry.deleteManifest(at(`r/${random(3)}`), { digest: images[random(6)]!.manifest.digest }),
      () => collect(source),
    ]
    for (let run = 0; run < 6; run++) {
      for (let i = 0; i < 8; i++)
        await acts[random(acts.length)]!().catch(passOver('manifestUnknown', 'repositoryUnknown'))
      await moveUpTo((['rows', 'verification', 'rest'] as const)[run % 3]!)
    }
    await move()
    await assertMoved()
  })

  test('a program that is killed while changes are refused › they are taken again after a while, and the next run waits for that', async () => {
    const limits = { leaseMs: 1_000, renewMs: 100 }
    assert.equal(await runAndDie(limits), 'SIGKILL')
    await assert.rejects(push(source, 'too early', 'x'), refused(/for a moment/))
    const waits: number[] = []
    await move({ limits, onWaiting: (seconds) => waits.push(seconds) })
    assert.deepEqual(waits, [1])
    await assertMoved()
  })

  test('a freeze that nobody renews ends with the first change after its time', async () => {
    assert.equal(await runAndDie({ leaseMs: 50, renewMs: 10 }), 'SIGKILL')
    await new Promise((resolve) => setTimeout(resolve, 60))
    await push(source, 'later', 'later')
    assert.equal((await findMove(source.db))?.state, 'copying')
  })

  test('the source took a change because the program stood still › it says so, and the next run completes it', async () => {
    await using server = await openFolderStore(source.folder)
    const late: Promise<void>[] = []
    const onProgress = atStage('rest', () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 80)
      late.push(push(server, 'late', 'late'))
    })
    // The source's next read waits for that change: it must not come after the end of the move.
    const db = changed(source.db, {
      read: async (fn) => {
        await Promise.all(late)
        return source.db.read(fn)
      },
    })
    const still = { leaseMs: 50, renewMs: 1_000_000 }
    const first = move({ source: { ...source, db }, limits: still, onProgress })
    await assert.rejects(first, said(/stood still/))
    await Promise.all(late)
    await move()
    await assertMoved()
    await target.registry.getManifest(at('team/app'), { tag: 'late' })
  })

  test('the end itself cut short › nobody takes changes, and the next run completes it', async () => {
    await move()
    await target.db.write((tables) => tables.updateTable('moves').set({ state: 'filling' }).execute(), {
      move: 'ignores',
    })
    await assert.rejects(push(target, 'early', 'early'), refused(/until everything has come/))
    assert.equal(await move(), undefined)
    await push(target, 'first', 'first')
  })
})

/** A store that does some of it differently. Methods of a class with private fields want the object itself. */
function changed<T extends BlobStore | Database>(store: T, changes: Partial<T>): T {
  return new Proxy(store, {
    get: (_, name) => changes[name as keyof T] ?? (store[name as keyof T] as () => unknown)?.bind(store),
  })
}

suite('migrate, by two programs at once', () => {
  /** Its uploads wait until `go` is called. */
  function slowTarget() {
    const { promise, resolve: go } = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const blobs = changed(target.blobs, {
      begin: async () => {
        begun.resolve()
        await promise
        return target.blobs.begin()
      },
    })
    return { store: { ...target, blobs }, go, begun: begun.promise }
  }

  test('the second is refused', async () => {
    const { store, go, begun } = slowTarget()
    const limits = { leaseMs: 2_000, renewMs: 50 }
    const first = move({ limits }, store)
    await begun
    await assert.rejects(move({ limits }), said(/another `berth migrate` is at work/))
    go()
    await first
    await assertMoved()
  })

  test('one that stood still for too long is taken over from, and does nothing any more', async () => {
    const { store, go, begun } = slowTarget()
    const first = move({ limits: { leaseMs: 20, renewMs: 1_000_000 } }, store)
    const ended = assert.rejects(first, said(/stood still/))
    await begun
    await move()
    const before = await rowsOf(target)
    go()
    await ended
    assert.deepEqual(await rowsOf(target), before)
    await assertMoved()
    assert.equal((await findMove(source.db))?.state, 'moved')
  })
})

suite('migrate, to a place that is taken', () => {
  test('by another store › refused, and nothing is changed on either side', async () => {
    await fillStore(target)
    const before = await rowsOf(target)
    await assert.rejects(move(), said(/holds something already|holds blobs already/))
    assert.deepEqual([await rowsOf(target), await findMove(source.db)], [before, undefined])
    await push(target, 'as ever', 'x')
  })

  test('by a database of another store, or by blobs alone › refused', async () => {
    await using other = await openFolderStore()
    await fillStore(other)
    await assert.rejects(move({}, { ...target, db: other.db }), said(/holds something already/))
    await assert.rejects(move({}, { ...target, blobs: other.blobs }), said(/holds blobs already/))
    assert.equal(await findMove(source.db), undefined)
  })

  test('by a server that has nothing yet but its word there › refused', async () => {
    await target.blobs.setOwner('another')
    await assert.rejects(move(), said(/is the store of another database \(another\)/))
    assert.deepEqual([await target.blobs.owner(), await findMove(source.db)], ['another', undefined])
  })

  test('from a server that has not come to the end of its first start › refused, and nothing is changed', async () => {
    await using unfounded = await openFolderStore()
    await assert.rejects(
      move({ source: unfounded, from: unfounded.place }),
      said(/has not come to the end of its first/),
    )
    assert.deepEqual([await findMove(unfounded.db), await findMove(target.db)], [undefined, undefined])
  })

  test('by what another move has left › refused', async () => {
    await moveUpTo('rows')
    await using other = await openFolderStore()
    await fillStore(other)
    const from = { source: other, from: other.place }
    await assert.rejects(
      move({ ...from, to: { ...target.place, blobs: other.place.blobs } }),
      said(/a part of what another move/),
    )
    await move()
    await assert.rejects(
      move({ ...from, to: { ...target.place, blobs: other.place.blobs } }),
      said(/what another move brought/),
    )
  })

  test('by the source itself › refused', async () => {
    await assert.rejects(move({}, source), said(/is itself being moved/))
    await push(source, 'as ever', 'x')
    assert.equal(await findMove(source.db), undefined)
  })

  test('a place that is being filled cannot be the source of another move', async () => {
    await moveUpTo('rows')
    await using third = await openFolderStore()
    const next = migrate({
      ...{ source: target, target: third, from: target.place, to: third.place },
      ...{ verify: 'sizes', clock: systemClock, signal: new AbortController().signal },
    })
    await assert.rejects(next, said(/is being filled/))
  })
})

suite('migrate, with bytes that are not whole', () => {
  const layerOf = (image: typeof contents.app, at: number): Content => image.layers[at]!

  test('in the source › named, marked on both sides, and mended by a push', async () => {
    const [changed, missing, short] = [0, 1, 2].map((number) => layerOf(contents.app, number)) as [
      Content,
      Content,
      Content,
    ]
    const bytes = await readFile(source.fileOf(changed.digest))
    bytes[0]! ^= 1
    await writeFile(source.fileOf(changed.digest), bytes)
    await rm(source.fileOf(missing.digest))
    await truncate(source.fileOf(short.digest), 3)
    await rm(source.fileOf(contents.gone.digest)) // garbage is nobody's loss
    const moved = await move()
    const digests = [changed, missing, short].map(({ digest }) => digest)
    assert.deepEqual(
      moved?.damagedBlobs,
      digests.toSorted().map((digest) => ({ digest, repository: 'berth/team/app' })),
    )
    await assertMoved()
    for (const store of [source, target])
      await assert.rejects(store.registry.getBlob(at('team/app'), changed.digest), (error) =>
        isFault(error, 'blobUnknown'),
      )
    for (const { digest, bytes } of [changed, missing, short])
      await target.registry.pushBlob(at('team/app'), digest, once(bytes))
    for (const digest of digests) await target.registry.getBlob(at('team/app'), digest)
  })

  test('of a blob that is collected at that moment › nobody’s loss', async () => {
    const blobs = changed(source.blobs, {
      stat: async (digest) => {
        if (digest === contents.unused.digest) await collect(source)
        return source.blobs.stat(digest)
      },
    })
    assert.deepEqual((await move({ source: { ...source, blobs } }))?.damagedBlobs, [])
    assert.equal(await target.blobs.stat(contents.unused.digest), undefined)
    await assertMoved()
  })

  test('in the source, and mended there between two runs › whole in the target', async () => {
    const { digest, bytes } = layerOf(contents.app, 0)
    await rm(source.fileOf(digest))
    await moveUpTo('verification')
    await source.registry.pushBlob(at('team/app'), digest, once(bytes))
    assert.deepEqual((await move())?.damagedBlobs, [])
    await assertMoved()
  })

  test('in the target, since the last run › brought once more: missing or short ones always, others with --verify full', async () => {
    await moveUpTo('verification')
    await rm(target.fileOf(layerOf(contents.app, 0).digest))
    await truncate(target.fileOf(layerOf(contents.app, 1).digest), 3)
    await moveUpTo('verification')
    assert.deepEqual(await readFile(target.fileOf(layerOf(contents.app, 0).digest)), layerOf(contents.app, 0).bytes)
    assert.deepEqual(await readFile(target.fileOf(layerOf(contents.app, 1).digest)), layerOf(contents.app, 1).bytes)
    await writeFile(target.fileOf(contents.large.digest), Buffer.alloc(contents.large.bytes.length))
    await move({ verify: 'full' })
    await assertMoved()
  })

  test('of manifests in the source › named; in the target › brought once more', async () => {
    await moveUpTo('verification')
    const { digest } = contents.app.manifest
    const spoil = (store: TestStore, bytes: Buffer) =>
      store.db.write(
        (tables) => tables.updateTable('manifests').set({ bytes }).where('digest', '=', digest).execute(),
        {
          move: 'ignores',
        },
      )
    await spoil(target, Buffer.from('{}'))
    await moveUpTo('verification')
    assert.deepEqual(await rowsOf(target), await expectedRows())
    await spoil(source, Buffer.from('{"a":1}'))
    assert.deepEqual((await move())?.damagedManifests, [digest])
  })
})

suite('migrate --undo', () => {
  const undo = (to: TestStore | undefined = target) => undoMove(source.db, to?.db, systemClock)

  test('the source takes changes again, the target none, and another run goes on from there', async () => {
    await move()
    assert.equal(await undo(), true)
    await push(source, 'after all', 'after-all')
    await assert.rejects(push(target, 'late', 'late'), refused(/until everything has come/))
    await move()
    await assertMoved()
    await target.registry.getManifest(at('team/app'), { tag: 'after-all' })
  })

  test('once the target was changed › refused, unless that may be lost', async () => {
    await move()
    await push(target, 'first', 'first')
    await assert.rejects(undo(), said(/has been changed since/))
    await assert.rejects(push(source, 'x', 'x'), refused(/has moved/))
    assert.equal(await undoMove(source.db, undefined, systemClock), true)
    await push(source, 'x', 'x')
  })

  test('what a server tidies in the target by itself is nobody’s change', async () => {
    await move()
    await collect(target)
    assert.equal(await target.blobs.stat(contents.unused.digest), undefined)
    assert.equal((await findMove(target.db))?.state, 'arrived')
    assert.equal(await undo(), true)
    await move()
    await assertMoved()
    assert.notEqual(await target.blobs.stat(contents.unused.digest), undefined)
  })

  test('bytes that both have stay until the target is changed, also where nothing there links them any more', async () => {
    const database = { ...target, ...processOn(target.db, source.blobs, systemClock) }
    const shared = { ...database, blobs: source.blobs, place: { ...target.place, blobs: source.place.blobs } }
    const { digest } = contents.unused
    const isThere = async () => (await source.blobs.stat(digest)) !== undefined
    await move({}, shared)
    const told = await collect(shared)
    assert.deepEqual([...new Set(told)], ['untagged manifest', 'unused link'])
    await assert.rejects(shared.registry.getBlob(at('other'), digest), (error) => isFault(error, 'blobUnknown'))
    assert.equal(await undo(), true)
    assert.equal((await source.registry.getBlob(at('other'), digest)).size, contents.unused.bytes.length)
    assert.equal(await isThere(), true)
    await move({}, shared)
    await collect(shared)
    await shared.registry.pushBlob(at('other'), contents.large.digest, once(contents.large.bytes))
    await assert.rejects(undo(), said(/has been changed since/))
    await collect(shared)
    assert.equal(await isThere(), false)
  })

  test('and then another place › the first one is not opened any more, whoever asks for it', async () => {
    await move()
    await undo()
    await using other = await openFolderStore()
    await push(source, 'since then', 'since-then')
    await move({}, other)
    await assert.rejects(move(), said(/everything has moved to .* and .* already/))
    await assert.rejects(move({}, { ...other, place: { ...other.place, blobs: 'elsewhere' } }), said(/has moved to/))
    await assert.rejects(push(target, 'late', 'late'), refused(/until everything has come/))
    await other.registry.getManifest(at('team/app'), { tag: 'since-then' })
  })

  test('after a move further on was refused › as if that had not been tried', async () => {
    await move()
    await using third = await openFolderStore()
    await fillStore(third)
    const arrived = await findMove(target.db)
    await using empty = await openFolderStore()
    const further = { source: target, from: target.place, target: { ...empty, db: third.db } }
    await assert.rejects(move(further, empty), said(/holds something already/))
    assert.deepEqual([arrived?.state, await findMove(target.db)], ['arrived', arrived])
    assert.equal(await undo(), true)
  })

  test('where nothing has moved › says so', async () => {
    assert.equal(await undo(), false)
    await moveUpTo('rows')
    assert.equal(await undo(), false)
  })

  test('while a move is at work › refused', async () => {
    const tried: Promise<unknown>[] = []
    await move({ onProgress: atStage('rest', () => void tried.push(assert.rejects(undo(), said(/is at work/)))) })
    assert.equal(tried.length, 1)
    await Promise.all(tried)
  })
})

function passOver(...codes: readonly string[]) {
  return (error: unknown) => {
    if (!(error instanceof Error) || !codes.includes(error.message)) throw error
  }
}

/** A program of its own that moves the source to the target, and is killed as soon as the source refuses changes. */
async function runAndDie(limits: {
  readonly leaseMs: number
  readonly renewMs: number
}): Promise<NodeJS.Signals | null> {
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url))
  const program = `
    import { migrate } from ${url('./migrate.ts')}
    import { openFolderStore } from ${url('../../../test/stores.ts')}
    const [source, target] = [await openFolderStore(process.argv[1]), await openFolderStore(process.argv[2])]
    await migrate({
      source, target, from: source.place, to: target.place, verify: 'sizes', clock: Date,
      signal: new AbortController().signal, limits: ${JSON.stringify(limits)},
      onProgress: ({ stage }) => { if (stage === 'verification') process.kill(process.pid, 'SIGKILL') },
    })`
  const folders = [source.folder ?? '', target.folder ?? '']
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, ...folders], { stdio: 'inherit' })
  const [, signal] = await onceEmitted(child, 'exit')
  return signal
}
