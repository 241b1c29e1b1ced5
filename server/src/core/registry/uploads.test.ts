import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, mock, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Digest, digestOf } from '@berth/oci'
import { openTestDatabase } from '../../../test/database.ts'
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import { openMemoryBlobStore } from '../../backends/blobs/memory.ts'
import type { Database } from '../../backends/db/database.ts'
import { manualClock } from '../../base/clock.ts'
import { Fault, type Faults, isFault } from '../../base/fault.ts'
import { createRegistry, type Registry } from './registry.ts'

const place = { registry: 'berth', repository: 'team/app' }
const digestOfText = (text: string) => digestOf('sha256', Buffer.from(text))

async function* bytes(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

/** What arrives from a client that goes away after these. */
async function* broken(...texts: string[]): AsyncGenerator<Uint8Array> {
  yield* bytes(...texts)
  throw new Fault('clientGone', { bytesReceived: texts.join('').length })
}

/** Bytes whose sender decides when each piece arrives, and when it is over. */
function slow() {
  const pieces: (Uint8Array | undefined)[] = []
  let wake = () => {}
  let asked = () => {}
  const begun = new Promise<void>((resolve) => {
    asked = resolve
  })
  async function* arriving(): AsyncGenerator<Uint8Array> {
    for (;;) {
      asked()
      if (pieces.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const piece = pieces.shift()
      if (piece === undefined) return
      yield piece
    }
  }
  const give = (piece: Uint8Array | undefined) => {
    pieces.push(piece)
    wake()
  }
  return { bytes: arriving(), begun, send: (text: string) => give(Buffer.from(text)), end: () => give(undefined) }
}

const isFaultOf = (code: keyof Faults) => (error: unknown) => isFault(error, code)

describe('upload sessions', () => {
  let db: Database
  let blobs: BlobStore
  let clock: ReturnType<typeof manualClock>
  let registry: Registry
  const sessionKey = randomBytes(32)
  beforeEach(async () => {
    clock = manualClock()
    db = await openTestDatabase({ clock })
    blobs = openMemoryBlobStore()
    registry = aProcess()
    await db.write((tables) =>
      tables
        .insertInto('registries')
        .values({
          name: 'berth',
          sku: 'Premium',
          admin_user_enabled: 1,
          anonymous_pull_enabled: 0,
          sparse_manifests_enabled: 0,
          created_at: new Date(clock.now()).toISOString(),
        })
        .execute(),
    )
  })
  afterEach(async () => {
    await blobs.dispose()
    await db.dispose()
  })

  /** The store, but for the methods that are given. */
  const aStore = (over: Partial<BlobStore>): BlobStore => ({
    stat: (digest) => blobs.stat(digest),
    read: (digest, range) => blobs.read(digest, range),
    begin: () => blobs.begin(),
    append: (name, offset, source) => blobs.append(name, offset, source),
    commit: (name, size, digest) => blobs.commit(name, size, digest),
    ensureDurable: (digest) => blobs.ensureDurable(digest),
    abort: (name) => blobs.abort(name),
    delete: (digest) => blobs.delete(digest),
    list: (after) => blobs.list(after),
    listSessions: () => blobs.listSessions(),
    owner: () => blobs.owner(),
    setOwner: (owner) => blobs.setOwner(owner),
    dispose: () => blobs.dispose(),
    ...over,
  })

  /** The registry as another process has it: on the same database and store. */
  const aProcess = (over: { db?: Database; blobs?: BlobStore } = {}) =>
    createRegistry({ db, blobs, clock, sessionKey, graceMs: 86_400_000, node: 'here', ...over })

  function refusingWrites(isFull: () => boolean): Database {
    const full = new Fault('unavailable', { retryAfterSeconds: 30, reason: 'no space left' })
    return new Proxy(db, {
      get: (_, name: keyof Database) =>
        name === 'write' && isFull() ? () => Promise.reject(full) : (db[name] as () => unknown).bind(db),
    })
  }

  async function contentOf(digest: Digest): Promise<string> {
    const blob = await registry.getBlob(place, digest)
    const content = await blob.read()
    if (content instanceof Uint8Array) return Buffer.from(content).toString()
    let text = ''
    for await (const chunk of content) text += Buffer.from(chunk).toString()
    return text
  }

  const sessionsLeft = () => db.read((tables) => tables.selectFrom('upload_sessions').selectAll().execute())

  test('go on in another process', async () => {
    const other = aProcess()
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello ') })
    assert.deepEqual(await other.getUpload(place, session), { session, offset: 6 })
    await other.appendToUpload(place, session, { bytes: bytes('wor') })
    assert.equal(await registry.finishUpload(place, session, digestOfText('hello world'), { bytes: bytes('ld') }), 11)
    assert.equal(await contentOf(digestOfText('hello world')), 'hello world')
    assert.deepEqual(await sessionsLeft(), [])
  })

  test('have names that every process knows to be ours, also when they are over', async () => {
    const { session } = await registry.startUpload(place)
    await registry.cancelUpload(place, session)
    await assert.rejects(aProcess().getUpload(place, session), isFaultOf('blobUploadInvalid'))
    const changed = `${session.slice(0, -1)}${session.endsWith('0') ? '1' : '0'}`
    for (const name of [changed, randomUUID(), session.toUpperCase(), `${session}0`, '']) {
      await assert.rejects(registry.getUpload(place, name), isFaultOf('blobUploadUnknown'))
    }
    const stranger = createRegistry({
      db,
      blobs,
      clock,
      sessionKey: randomBytes(32),
      graceMs: 86_400_000,
      node: 'here',
    })
    await assert.rejects(stranger.getUpload(place, session), isFaultOf('blobUploadUnknown'))
  })

  test('have nothing but a name before their first bytes, and can be asked for and cancelled', async () => {
    const { session } = await registry.startUpload(place)
    assert.deepEqual(await sessionsLeft(), [])
    assert.deepEqual(await aProcess().getUpload(place, session), { session, offset: 0 })
    await aProcess().cancelUpload(place, session)
    await assert.rejects(registry.getUpload(place, session), isFaultOf('blobUploadInvalid'))
    await assert.rejects(registry.appendToUpload(place, session, { bytes: bytes('x') }), isFaultOf('blobUploadInvalid'))
    assert.deepEqual(await sessionsLeft(), [])
  })

  test('must begin within ten minutes, and last as long as it takes', async () => {
    const [early, late] = [await registry.startUpload(place), await registry.startUpload(place)]
    clock.advance(10 * 60_000)
    await registry.appendToUpload(place, early.session, { bytes: bytes('hello') })
    clock.advance(60_000)
    await assert.rejects(registry.getUpload(place, late.session), isFaultOf('blobUploadInvalid'))
    await assert.rejects(
      registry.appendToUpload(place, late.session, { bytes: bytes('hello') }),
      isFaultOf('blobUploadInvalid'),
    )
    clock.advance(12 * 3_600_000)
    await registry.finishUpload(place, early.session, digestOfText('hello'))
    await assert.rejects(registry.getUpload(place, early.session), isFaultOf('blobUploadInvalid'))
  })

  test('may begin on a server whose clock is five minutes behind', async () => {
    clock.advance(5 * 60_000)
    const { session } = await registry.startUpload(place)
    clock.advance(-5 * 60_000)
    await registry.appendToUpload(place, session, { bytes: bytes('hello') })
    await registry.finishUpload(place, session, digestOfText('hello'))
  })

  test('that are over are remembered for as long as their names could begin one', async () => {
    const remembered = async () =>
      (await db.read((tables) => tables.selectFrom('ended_uploads').select('id').execute())).map(({ id }) => id)
    const pushed: string[] = []
    const push = async () => {
      const { session } = await registry.startUpload(place)
      await registry.finishUpload(place, session, digestOfText('hello'), { bytes: bytes('hello') })
      pushed.push(session)
    }
    await push()
    clock.advance(10 * 60_000)
    await push()
    assert.deepEqual((await remembered()).sort(), pushed.toSorted())
    clock.advance(6 * 60_000)
    await push()
    assert.deepEqual((await remembered()).sort(), pushed.slice(1).sort())
    for (const session of pushed) {
      await assert.rejects(
        aProcess().finishUpload(place, session, digestOfText('hello'), { bytes: bytes('hello') }),
        isFaultOf('blobUploadInvalid'),
      )
    }
  })

  test('take two transactions where a blob comes in one request, and two more for every other request', async () => {
    const write = mock.method(db, 'write')
    const transactions = async (work: () => Promise<unknown>) => {
      const before = write.mock.callCount()
      await work()
      return write.mock.callCount() - before
    }
    const [one, two] = [await registry.startUpload(place), await registry.startUpload(place)]
    const hello = digestOfText('hello')
    const counts = [
      await transactions(() => registry.startUpload(place)),
      await transactions(() => registry.finishUpload(place, one.session, hello, { bytes: bytes('hello') })),
      await transactions(() => registry.pushBlob(place, hello, bytes('hello'))),
      await transactions(() => registry.appendToUpload(place, two.session, { bytes: bytes('hel') })),
      await transactions(() => registry.appendToUpload(place, two.session, { bytes: bytes('lo') })),
      await transactions(() => registry.finishUpload(place, two.session, hello)),
    ]
    assert.deepEqual(counts, [0, 2, 2, 2, 2, 2])
  })

  test('have names of the form of a UUID', async () => {
    for (let count = 0; count < 50; count++) {
      const { session } = await registry.startUpload(place)
      assert.match(session, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }
  })

  test('do not begin in a registry that does not exist', async () => {
    await assert.rejects(registry.startUpload({ ...place, registry: 'nowhere' }), isFaultOf('repositoryUnknown'))
  })

  test('keep what arrived before the client went away, where no range was announced', async () => {
    const { session } = await registry.startUpload(place)
    await assert.rejects(
      registry.appendToUpload(place, session, { bytes: broken('hel', 'lo') }),
      isFaultOf('clientGone'),
    )
    assert.equal((await registry.getUpload(place, session)).offset, 5)
    await assert.rejects(
      registry.finishUpload(place, session, digestOfText('hello world'), { bytes: broken(' wo') }),
      isFaultOf('clientGone'),
    )
    assert.equal((await registry.getUpload(place, session)).offset, 5, 'a closing chunk counts whole or not at all')
    await registry.finishUpload(place, session, digestOfText('hello world'), { bytes: bytes(' world') })
    assert.equal(await contentOf(digestOfText('hello world')), 'hello world')
  })

  test('a closing request that failed for want of disk is repeated as it was', async () => {
    const { session } = await registry.startUpload(place)
    const digest = digestOfText('hello world')
    const { commit } = blobs
    blobs.commit = async () => {
      throw new Fault('unavailable', { retryAfterSeconds: 30, reason: 'no space left' })
    }
    await assert.rejects(
      registry.finishUpload(place, session, digest, { bytes: bytes('hello world') }),
      isFaultOf('unavailable'),
    )
    blobs.commit = commit
    await registry.finishUpload(place, session, digest, { bytes: bytes('hello world') })
    assert.equal(await contentOf(digest), 'hello world')
  })

  for (const how of ['at the end of an upload', 'in one request'] as const) {
    test(`bytes that a full disk kept from being moved take no room: ${how}`, async () => {
      let isFull = false
      const store = aStore({
        commit: async () => {
          isFull = true
          throw new Fault('unavailable', { retryAfterSeconds: 30, reason: 'no space left' })
        },
      })
      const filling = aProcess({ db: refusingWrites(() => isFull), blobs: store })
      const digest = digestOfText('hello world')
      const pushing =
        how === 'in one request'
          ? filling.pushBlob(place, digest, bytes('hello world'))
          : filling.finishUpload(place, (await filling.startUpload(place)).session, digest, {
              bytes: bytes('hello world'),
            })
      await assert.rejects(pushing, isFaultOf('unavailable'))
      isFull = false
      const [row] = await sessionsLeft()
      await assert.rejects(
        blobs.append(row?.store_session ?? '', 1, bytes()),
        (error) => isFault(error, 'chunkOutOfOrder') && error.detail.expectedOffset === 0,
      )
    })
  }

  test('a claim that a full disk kept from being given back is given back when there is room', async () => {
    const { session } = await registry.startUpload(place)
    let isFull = false
    const filling = refusingWrites(() => isFull)
    async function* untilFull() {
      isFull = true
      yield* bytes('hello')
    }
    await assert.rejects(
      aProcess({ db: filling }).appendToUpload(place, session, { bytes: untilFull() }),
      isFaultOf('unavailable'),
    )
    isFull = false
    await registry.finishUpload(place, session, digestOfText('hello world'), { bytes: bytes('hello world') })
    assert.equal(await contentOf(digestOfText('hello world')), 'hello world')
  })

  test('count a chunk with a range whole or not at all', async () => {
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello'), range: { start: 0, end: 4 } })
    const range = { start: 5, end: 10 }
    const offset = async () => (await registry.getUpload(place, session)).offset
    await assert.rejects(
      registry.appendToUpload(place, session, { bytes: broken(' wo'), range }),
      isFaultOf('clientGone'),
    )
    assert.equal(await offset(), 5)
    for (const text of [' worl', ' world!', '']) {
      await assert.rejects(
        registry.appendToUpload(place, session, { bytes: bytes(text), range }),
        (error) => isFault(error, 'sizeInvalid') && error.detail.expected === 6,
      )
      assert.equal(await offset(), 5)
    }
    await assert.rejects(
      registry.appendToUpload(place, session, { bytes: bytes(' world'), range, announcedBytes: 7 }),
      isFaultOf('sizeInvalid'),
    )
    await registry.appendToUpload(place, session, { bytes: bytes(' world'), range, announcedBytes: 6 })
    await registry.finishUpload(place, session, digestOfText('hello world'))
    assert.equal(await contentOf(digestOfText('hello world')), 'hello world')
  })

  test('do not read much of a body that is longer than its range', async () => {
    const { session } = await registry.startUpload(place)
    let read = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        read++
        yield Buffer.alloc(10)
      }
    }
    await assert.rejects(
      registry.appendToUpload(place, session, { bytes: endless(), range: { start: 0, end: 24 } }),
      isFaultOf('sizeInvalid'),
    )
    assert.ok(read <= 4, `${read} pieces`)
  })

  test('have one writer: another one waits for its end', async () => {
    const { session } = await registry.startUpload(place)
    const first = slow()
    const writing = registry.appendToUpload(place, session, { bytes: first.bytes })
    await first.begun
    const other = aProcess().appendToUpload(place, session, { bytes: bytes(' world') })
    first.send('hello')
    first.end()
    assert.equal((await writing).offset, 5)
    assert.equal((await other).offset, 11)
    await registry.finishUpload(place, session, digestOfText('hello world'))
    assert.equal(await contentOf(digestOfText('hello world')), 'hello world')
  })

  test('have one writer: another one gives up after five seconds with uploadBusy, and can still ask', async () => {
    const { session } = await registry.startUpload(place)
    const first = slow()
    const writing = registry.appendToUpload(place, session, { bytes: first.bytes })
    await first.begun
    const timers = mock.timers
    timers.enable({ apis: ['setTimeout'] })
    try {
      let outcome: unknown
      const other = aProcess()
        .cancelUpload(place, session)
        .catch((error: unknown) => {
          outcome = error
        })
      let waitedMs = 0
      for (; outcome === undefined && waitedMs < 20_000; waitedMs += 50) {
        timers.tick(50)
        // What it asks the database meanwhile is mostly answered before this is.
        for (let turn = 0; turn < 5; turn++) await registry.getUpload(place, session)
      }
      await other
      assert.ok(isFault(outcome, 'uploadBusy'))
      assert.ok(waitedMs >= 5_000 && waitedMs < 10_000, `${waitedMs} ms`)
      assert.equal((await registry.getUpload(place, session)).offset, 0)
    } finally {
      timers.reset()
      first.end()
    }
    await writing
  })

  test('a living writer keeps its claim, however slowly its bytes come', async (t) => {
    const { session } = await registry.startUpload(place)
    const sender = slow()
    t.mock.timers.enable({ apis: ['setInterval'] })
    const writing = registry.appendToUpload(place, session, { bytes: sender.bytes })
    await sender.begun
    for (let renewal = 0; renewal < 4; renewal++) {
      clock.advance(10_000)
      const before = (await sessionsLeft())[0]?.writer_until
      t.mock.timers.tick(10_000)
      while ((await sessionsLeft())[0]?.writer_until === before) await nextTurn()
    }
    const until = new Date(clock.now() + 30_000).toISOString()
    assert.equal((await sessionsLeft())[0]?.writer_until, until)
    sender.send('hello')
    sender.end()
    await writing
    assert.equal((await registry.getUpload(place, session)).offset, 5)
  })

  test('a killed writer keeps its claim for thirty seconds, and no longer', async () => {
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello') })
    const until = new Date(clock.now() + 30_000).toISOString()
    await db.write((tables) =>
      tables.updateTable('upload_sessions').set({ writer: 'killed', writer_until: until }).execute(),
    )
    clock.advance(30_000)
    await assert.rejects(
      registry.appendToUpload(place, session, { bytes: bytes('too early') }),
      isFaultOf('uploadBusy'),
    )
    clock.advance(1)
    await registry.appendToUpload(place, session, { bytes: bytes(' world') })
    const [row] = await sessionsLeft()
    assert.deepEqual([row?.writer, row?.writer_until, row?.offset], [null, null, 11])
  })

  test('bytes of a killed writer that were not recorded are dropped', async () => {
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello') })
    const [row] = await sessionsLeft()
    await blobs.append(row?.store_session ?? '', 5, bytes(' unrecorded'))
    await registry.appendToUpload(place, session, { bytes: bytes(' world'), range: { start: 5, end: 10 } })
    await registry.finishUpload(place, session, digestOfText('hello world'))
    assert.equal(await contentOf(digestOfText('hello world')), 'hello world')
  })

  test('a writer that stood still until its claim was taken over records nothing any more', async () => {
    const { session } = await registry.startUpload(place)
    const stalled = slow()
    const writing = registry.appendToUpload(place, session, { bytes: stalled.bytes, range: { start: 0, end: 99 } })
    const refused = assert.rejects(writing, (error) => isFault(error, 'uploadBusy') || isFault(error, 'sizeInvalid'))
    await stalled.begun
    const until = new Date(clock.now() + 30_000).toISOString()
    await db.write((tables) =>
      tables.updateTable('upload_sessions').set({ writer: 'other', writer_until: until, offset: 5 }).execute(),
    )
    stalled.send('x'.repeat(100))
    stalled.end()
    await refused
    const [row] = await sessionsLeft()
    assert.deepEqual([row?.offset, row?.writer], [5, 'other'])
  })

  const afterTheMove = {
    'a power cut': new Error('power cut'),
    'a full disk': new Fault('unavailable', { retryAfterSeconds: 30, reason: 'the disk is full' }),
  }
  for (const [name, trouble] of Object.entries(afterTheMove)) {
    test(`a finish whose rows were not written because of ${name} is made up for by repeating it`, async () => {
      const digest = digestOfText('hello world')
      const { session } = await registry.startUpload(place)
      await registry.appendToUpload(place, session, { bytes: bytes('hello world') })
      let committed = false
      const failing = aStore({
        async commit(name, size, wanted) {
          await blobs.commit(name, size, wanted)
          committed = true
          throw trouble
        },
      })
      await assert.rejects(aProcess({ blobs: failing }).finishUpload(place, session, digest), trouble)
      assert.equal(committed, true)
      await assert.rejects(registry.getBlob(place, digest), isFaultOf('blobUnknown'))
      assert.equal(await registry.finishUpload(place, session, digest), 11)
      assert.equal(await contentOf(digest), 'hello world')
      await assert.rejects(registry.finishUpload(place, session, digest), isFaultOf('blobUploadInvalid'))
    })
  }

  test('a repeated finish writes rows only when the blob that it finds is durable', async () => {
    const digest = digestOfText('hello world')
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello world') })
    const dying = aStore({
      async commit(name, size, wanted) {
        await blobs.commit(name, size, wanted)
        throw new Error('power cut')
      },
    })
    await assert.rejects(aProcess({ blobs: dying }).finishUpload(place, session, digest), /power cut/)
    const broken = aStore({
      async ensureDurable() {
        throw new Error('the folder cannot be synced')
      },
    })
    await assert.rejects(aProcess({ blobs: broken }).finishUpload(place, session, digest), /cannot be synced/)
    await assert.rejects(registry.getBlob(place, digest), isFaultOf('blobUnknown'))
    assert.equal(await registry.finishUpload(place, session, digest), 11)
  })

  test('a session that cannot be recorded leaves nothing in the store, and says why', async () => {
    const dropped: string[] = []
    const watched = aProcess({
      blobs: aStore({
        async abort(name) {
          dropped.push(name)
          await blobs.abort(name)
        },
      }),
    })
    const { session } = await watched.startUpload(place)
    await db.write((tables) => tables.deleteFrom('registries').execute())
    await assert.rejects(watched.appendToUpload(place, session, { bytes: bytes('x') }), isFaultOf('repositoryUnknown'))
    assert.equal(dropped.length, 1)
    assert.deepEqual(await Array.fromAsync(blobs.listSessions()), [])
  })

  test('a session that can be neither recorded nor dropped tells both errors', async () => {
    const stuck = aProcess({
      db: refusingWrites(() => true),
      blobs: aStore({
        async abort() {
          throw new Error('cannot be dropped')
        },
      }),
    })
    const { session } = await stuck.startUpload(place)
    await assert.rejects(stuck.appendToUpload(place, session, { bytes: bytes('x') }), (error) => {
      assert.ok(error instanceof AggregateError)
      assert.deepEqual([isFault(error.errors[0], 'unavailable'), error.errors[1].message], [true, 'cannot be dropped'])
      return true
    })
  })

  test('a lost finish cannot be repeated with the digest of a blob of the same size that somebody else has', async () => {
    const secret = digestOfText('my secrets!')
    await registry.pushBlob({ ...place, repository: 'other' }, secret, bytes('my secrets!'))
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello world') })
    const [row] = await sessionsLeft()
    await blobs.commit(row?.store_session ?? '', 11, digestOfText('hello world'))
    await db.write((tables) =>
      tables
        .updateTable('upload_sessions')
        .set({ committing_digest: digestOfText('hello world') })
        .execute(),
    )
    await assert.rejects(registry.finishUpload(place, session, secret), isFaultOf('blobUploadInvalid'))
    await assert.rejects(registry.getBlob(place, secret), isFaultOf('blobUnknown'))
  })

  test('a lost finish of a blob that another repository has, too, is no proof: its bytes must come again', async () => {
    const secret = digestOfText('my secrets!')
    await registry.pushBlob({ ...place, repository: 'other' }, secret, bytes('my secrets!'))
    const { session } = await registry.startUpload(place)
    await registry.appendToUpload(place, session, { bytes: bytes('hello') })
    // A closing request that died before it had its bytes, which a power cut took as well.
    await db.write((tables) => tables.updateTable('upload_sessions').set({ committing_digest: secret }).execute())
    const [row] = await sessionsLeft()
    await blobs.abort(row?.store_session ?? '')
    await assert.rejects(registry.finishUpload(place, session, secret), isFaultOf('blobUploadUnknown'))
    await assert.rejects(registry.getBlob(place, secret), isFaultOf('blobUnknown'))
    await registry.pushBlob(place, secret, bytes('my secrets!'))
    assert.equal(await contentOf(secret), 'my secrets!')
  })

  test('a push of wrong bytes whose session cannot be dropped leaves no claim to what others have deleted', async () => {
    const secret = digestOfText('my secrets!')
    await registry.pushBlob({ ...place, repository: 'other' }, secret, bytes('my secrets!'))
    await registry.deleteBlob({ ...place, repository: 'other' }, secret)
    assert.ok(await blobs.stat(secret), 'collected later')
    const { session } = await registry.startUpload(place)
    let isFull = false
    const failing = aProcess({
      db: refusingWrites(() => isFull),
      blobs: aStore({
        commit: (name, size, digest) => {
          isFull = true
          return blobs.commit(name, size, digest)
        },
      }),
    })
    await assert.rejects(
      failing.finishUpload(place, session, secret, { bytes: bytes('guessed') }),
      isFaultOf('unavailable'),
    )
    isFull = false
    await db.write((tables) => tables.updateTable('upload_sessions').set({ writer: null }).execute())
    await assert.rejects(registry.finishUpload(place, session, secret))
    // Not even where the process was killed before it could take its word back.
    await db.write((tables) => tables.updateTable('upload_sessions').set({ committing_digest: secret }).execute())
    await assert.rejects(registry.finishUpload(place, session, secret))
    await assert.rejects(registry.getBlob(place, secret), isFaultOf('blobUnknown'))
  })

  test('bytes whose row was written, though nobody was told, are not cut off when others have gone on', async () => {
    const { session } = await registry.startUpload(place)
    const losing: Database = new Proxy(db, {
      get: (_, name: keyof Database) =>
        name === 'write'
          ? async (...given: Parameters<Database['write']>) => {
              const result = await db.write(...given)
              const [row] = await sessionsLeft()
              if (row?.offset !== 5) return result
              await registry.appendToUpload(place, session, { bytes: bytes(' world') })
              throw new Fault('unavailable', { retryAfterSeconds: 1, reason: 'the answer was lost' })
            }
          : (db[name] as () => unknown).bind(db),
    })
    await assert.rejects(
      aProcess({ db: losing }).appendToUpload(place, session, { bytes: bytes('hello') }),
      isFaultOf('unavailable'),
    )
    assert.equal(await registry.finishUpload(place, session, digestOfText('hello world')), 11)
  })

  test('a wrong digest ends the session and leaves no bytes', async () => {
    const { session } = await registry.startUpload(place)
    await assert.rejects(
      registry.finishUpload(place, session, digestOfText('x'), { bytes: bytes('hello') }),
      (error) => isFault(error, 'digestMismatch') && error.detail.actual === digestOfText('hello'),
    )
    await assert.rejects(registry.getUpload(place, session), isFaultOf('blobUploadInvalid'))
    for await (const digest of blobs.list()) assert.fail(`${digest} is left`)
  })

  test('a push in one go that breaks off leaves nothing behind', async () => {
    const digest = digestOfText('hello world')
    for (const [source, code] of [
      [broken('hello'), 'clientGone'],
      [bytes('hello'), 'digestMismatch'],
    ] as const) {
      await assert.rejects(registry.pushBlob(place, digest, source), isFaultOf(code))
      assert.deepEqual(await sessionsLeft(), [])
    }
    assert.equal(await registry.pushBlob(place, digest, bytes('hello world')), 11)
  })

  test('two that end with the same blob both succeed', async () => {
    const digest = digestOfText('hello world')
    const [one, two] = [await registry.startUpload(place), await aProcess().startUpload(place)]
    await Promise.all([
      registry.finishUpload(place, one.session, digest, { bytes: bytes('hello world') }),
      aProcess().finishUpload(place, two.session, digest, { bytes: bytes('hello ', 'world') }),
    ])
    assert.equal(await contentOf(digest), 'hello world')
  })
})
