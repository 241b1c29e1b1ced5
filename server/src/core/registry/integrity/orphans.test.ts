import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { type Digest, toDigest } from '@berth/oci'
import { at, dayMs, hourMs, once } from '../../../../test/core.ts'
import { aBlob } from '../../../../test/images.ts'
import { brief, openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'

const stray = aBlob('nobody knows of these')

async function addFile(core: TestIntegrity, bytes: Uint8Array = stray.bytes): Promise<void> {
  await mkdir(dirname(core.fileOf(stray)), { recursive: true })
  await writeFile(core.fileOf(stray), bytes)
}

suite('bytes in the store that no row tells of', () => {
  test('are told by name, queued, and collected after the grace', async () => {
    for (const bytes of [stray.bytes, Buffer.from('not even its own')]) {
      await using core = await openTestIntegrity()
      await addFile(core, bytes)
      const findings = await core.check()
      assert.deepEqual(brief(findings), [`found orphaned bytes: ${stray.digest}`])
      assert.equal(findings[0]?.bytes, bytes.length)
      assert.deepEqual(brief(await core.check({ repair: true })), [`repaired orphaned bytes: ${stray.digest}`])
      assert.deepEqual(await core.check(), [])
      core.clock.advance(hourMs)
      await core.collect()
      assert.ok(await core.store.stat(stray.digest), 'the whole grace')
      core.clock.advance(1)
      await core.collect()
      assert.equal(await core.store.stat(stray.digest), undefined)
      assert.deepEqual(await core.check(), [])
    }
  })

  test('are good for a push that comes later', async () => {
    await using core = await openTestIntegrity()
    await addFile(core, Buffer.from('not its own'))
    await core.check({ repair: true })
    core.clock.advance(1_000)
    await core.push('a', stray)
    assert.deepEqual(await core.check(), [])
    assert.equal(await core.has('a', stray), true)
  })

  test('are nothing to tell while a push is about to enter them', async (t) => {
    await using core = await openTestIntegrity()
    const { session } = await core.registry.startUpload(at('a'))
    // Its process dies after the bytes and before the rows.
    const write = core.db.write.bind(core.db)
    let writes = 0
    t.mock.method(core.db, 'write', (...args: Parameters<typeof write>) => {
      writes += 1
      if (writes > 1) throw new Error('died')
      return write(...args)
    })
    await assert.rejects(core.registry.finishUpload(at('a'), session, stray.digest, { bytes: once(stray.bytes) }))
    t.mock.restoreAll()
    assert.ok(await core.store.stat(stray.digest))
    assert.deepEqual(await core.check({ repair: true }), [])
    core.clock.advance(60_000)
    await core.registry.finishUpload(at('a'), session, stray.digest)
    assert.deepEqual(await core.check(), [])
  })

  test('are found among very many that are known', async () => {
    await using core = await openTestIntegrity()
    const now = new Date(core.clock.now()).toISOString()
    const digests: Digest[] = []
    for (let i = 0; i < 450; i++) {
      const bytes = randomBytes(4)
      const digest = toDigest('sha256', createHash('sha256').update(bytes).digest('hex'))
      const file = core.fileOf({ digest, bytes, mediaType: '' })
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, bytes)
      digests.push(digest)
    }
    const lost = digests.splice(200, 3)
    await core.db.write((tables) =>
      tables
        .insertInto('blobs')
        .values(digests.map((digest) => ({ digest, size: 4, created_at: now, unlinked_since: now })))
        .execute(),
    )
    const things: Record<string, number> = {}
    const findings = await core.check({
      onProgress({ things: name, looked }) {
        things[name] = looked
      },
    })
    assert.deepEqual(
      brief(findings),
      lost.sort().map((digest) => `found orphaned bytes: ${digest}`),
    )
    assert.deepEqual([things.blobs, things['stored blobs']], [447, 450])
  })
})

suite('unfinished uploads', () => {
  const olderThanADay = 2 * dayMs

  test('that only the store knows › are told once they are older than the expiry, and removed', async () => {
    await using core = await openTestIntegrity()
    const session = await core.store.begin()
    await core.store.append(session, 0, once(stray.bytes))
    const age = async (ms: number) => {
      const seconds = (core.clock.now() - ms) / 1000
      await utimes(join(core.folder, 'uploads', session), seconds, seconds)
    }
    await age(dayMs - 1_000)
    assert.deepEqual(await core.check({ repair: true }), [])
    await age(dayMs + 1_000)
    assert.deepEqual(brief(await core.check()), [`found orphaned upload: ${session}`])
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired orphaned upload: ${session}`])
    assert.deepEqual(await Array.fromAsync(core.store.listSessions()), [])
    assert.deepEqual(await core.check(), [])
  })

  test('that only the database knows › likewise', async () => {
    await using core = await openTestIntegrity()
    const [{ session }, other] = [await core.registry.startUpload(at('a')), await core.registry.startUpload(at('a'))]
    for (const name of [session, other.session]) {
      await core.registry.appendToUpload(at('a'), name, { bytes: once(stray.bytes) })
    }
    const [row] = await core.db.read((tables) =>
      tables.selectFrom('upload_sessions').where('id', '=', session).select('store_session').execute(),
    )
    await rm(join(core.folder, 'uploads', row?.store_session ?? ''))
    assert.deepEqual(await core.check({ repair: true }), [])
    core.clock.advance(olderThanADay)
    const told = `lost upload: ${session} in berth/a`
    assert.deepEqual(
      brief(await core.check()).filter((line) => /lost/.test(line)),
      [`found ${told}`],
    )
    assert.deepEqual(
      brief(await core.check({ repair: true })).filter((line) => /lost/.test(line)),
      [`repaired ${told}`],
    )
    const left = await core.db.read((tables) => tables.selectFrom('upload_sessions').select('id').execute())
    assert.equal(left.length, 1, 'the other one is as it was')
  })
})
