import assert from 'node:assert/strict'
import { rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { suite, type TestContext, test } from 'node:test'
import { at, once } from '../../../../test/core.ts'
import { aBlob, anImage, type Content } from '../../../../test/images.ts'
import { brief, openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'

const image = anImage({ layers: 1, seed: 'harmed' })
const layer = image.layers[0] as Content
const { manifest } = image

/** The image in two repositories. */
async function openWithImage(): Promise<TestIntegrity & AsyncDisposable> {
  const core = await openTestIntegrity()
  await core.pushImage('a', image, 'v1')
  await core.pushImage('b', image, 'v1')
  core.clock.advance(1_000)
  return core
}

const rowOf = (core: TestIntegrity, { digest }: Content) =>
  core.db.read((tables) => tables.selectFrom('blobs').where('digest', '=', digest).selectAll().executeTakeFirst())

const incomplete = (outcome: string) => [
  `${outcome} missing content: ${manifest.digest} in berth/a`,
  `${outcome} missing content: ${manifest.digest} in berth/b`,
]

/** The life of a blob that is no good: told, left alone, marked, not served, pushed again, served. */
async function assertHeals(core: TestIntegrity, kind: string): Promise<void> {
  const told = `${kind}: ${layer.digest} in berth/a, berth/b`
  assert.deepEqual(brief(await core.check()), [`found ${told}`])
  assert.equal((await rowOf(core, layer))?.damaged_at, null, 'a check without repair changes nothing')
  assert.deepEqual(brief(await core.check({ repair: true })), [`repaired ${told}`, ...incomplete('left')])
  assert.equal(await core.has('a', layer), false)
  assert.deepEqual(brief(await core.check()), incomplete('found'), 'until somebody pushes it again')
  assert.deepEqual(brief(await core.check({ repair: true, quick: true })), incomplete('left'))
  core.clock.advance(1_000)
  await core.push('b', layer)
  assert.deepEqual(await core.check(), [])
  const blob = await core.registry.getBlob(at('a'), layer.digest)
  assert.deepEqual(Buffer.from((await blob.read()) as Uint8Array), layer.bytes)
}

suite('a blob', () => {
  test('with a flipped bit › is told with both digests, marked, and right again after a push', async () => {
    await using core = await openWithImage()
    await core.flip(layer)
    const [finding] = await core.check()
    assert.match(finding?.detail ?? '', /^the bytes are sha256:[0-9a-f]{64}$/)
    assert.equal(finding?.bytes, layer.bytes.length)
    await assertHeals(core, 'damaged blob')
  })

  test('that was cut short, or has grown › also when only sizes are looked at', async () => {
    for (const harm of [
      (core: TestIntegrity) => truncate(core.fileOf(layer), 3),
      (core: TestIntegrity) => writeFile(core.fileOf(layer), 'more', { flag: 'a' }),
    ]) {
      await using core = await openWithImage()
      await harm(core)
      const [finding] = await core.check({ quick: true })
      assert.equal(finding?.kind, 'damaged blob')
      assert.match(finding?.detail ?? '', new RegExp(`, \\d+ of ${layer.bytes.length} bytes$`))
      await assertHeals(core, 'damaged blob')
    }
  })

  test('whose file is gone › also when only sizes are looked at', async () => {
    await using core = await openWithImage()
    await rm(core.fileOf(layer))
    assert.deepEqual(brief(await core.check({ quick: true })), [
      `found missing blob: ${layer.digest} in berth/a, berth/b`,
    ])
    await assertHeals(core, 'missing blob')
  })

  test('a flipped bit is not seen when only sizes are looked at', async () => {
    await using core = await openWithImage()
    await core.flip(layer)
    assert.deepEqual(await core.check({ quick: true }), [])
  })

  test('that no manifest names › leaves nothing to do once it is marked', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    await core.flip(layer)
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired damaged blob: ${layer.digest} in berth/a`])
    assert.deepEqual(await core.check(), [])
  })

  test('whose mark is wrong, because its bytes came back › is served again', async () => {
    await using core = await openWithImage()
    await rm(core.fileOf(layer))
    await core.check({ repair: true })
    await writeFile(core.fileOf(layer), layer.bytes)
    const told = `withheld blob: ${layer.digest} in berth/a, berth/b`
    assert.deepEqual(brief(await core.check()), [`found ${told}`, ...incomplete('found')])
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired ${told}`])
    assert.equal(await core.has('a', layer), true)
    assert.deepEqual(await core.check(), [])
  })

  test('whose row states another size › takes the size of its bytes, and usage follows', async () => {
    await using core = await openWithImage()
    await core.db.write((tables) =>
      tables.updateTable('blobs').set({ size: 5_000 }).where('digest', '=', layer.digest).execute(),
    )
    const told = `wrong blob size: ${layer.digest} in berth/a, berth/b`
    for (const quick of [true, false]) assert.equal(brief(await core.check({ quick }))[0], `found ${told}`)
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired ${told}`])
    assert.equal((await rowOf(core, layer))?.size, layer.bytes.length)
    assert.deepEqual(await core.check(), [])
  })

  const refuse = (t: TestContext, { store }: TestIntegrity, code: string) => {
    const read = store.read.bind(store)
    t.mock.method(store, 'read', async (digest: typeof layer.digest) => {
      if (digest === layer.digest) throw Object.assign(new Error(`${code}: read`), { code })
      return read(digest)
    })
  }

  test('that the system refuses to give back › is told with the reason, and left to a person', async (t) => {
    await using core = await openWithImage()
    refuse(t, core, 'EACCES')
    const findings = await core.check({ repair: true })
    assert.deepEqual(brief(findings), [`left unreadable blob: ${layer.digest} in berth/a, berth/b`])
    assert.equal(findings[0]?.detail, 'EACCES: read')
    assert.equal(await core.has('a', layer), true)
  })

  test('that cannot even be asked for › is told, also when only sizes are looked at', async () => {
    await using core = await openWithImage()
    await rm(core.fileOf(layer))
    await symlink(core.fileOf(layer), core.fileOf(layer))
    for (const quick of [true, false]) {
      assert.deepEqual(brief(await core.check({ quick })), [
        `found unreadable blob: ${layer.digest} in berth/a, berth/b`,
      ])
    }
  })

  test('that the disk has lost › is marked, as one whose bytes are wrong', async (t) => {
    await using core = await openWithImage()
    refuse(t, core, 'EIO')
    const findings = await core.check({ repair: true })
    assert.deepEqual(brief(findings), [
      `repaired unreadable blob: ${layer.digest} in berth/a, berth/b`,
      ...incomplete('left'),
    ])
    assert.equal(findings[0]?.detail, 'EIO: read')
    assert.equal(await core.has('a', layer), false)
  })

  test('that is replaced while it is looked at › is not marked', async (t) => {
    await using core = await openWithImage()
    await core.flip(layer)
    const write = core.db.write.bind(core.db)
    let pushed = false
    // Between the second look and the mark.
    t.mock.method(core.db, 'write', async (...args: Parameters<typeof write>) => {
      if (!pushed) {
        pushed = true
        core.clock.advance(1)
        await core.push('a', layer)
      }
      return write(...args)
    })
    assert.deepEqual(await core.check({ repair: true }), [])
    assert.equal(await core.has('a', layer), true)
  })

  test('without links that a cut collection has left without bytes › is nothing to tell', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    await core.registry.deleteBlob(at('a'), layer.digest)
    await rm(core.fileOf(layer))
    assert.deepEqual(await core.check(), [])
  })

  test('whose row changes before the mark, and whose bytes stay wrong › is looked at again and marked', async (t) => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    await core.flip(layer)
    const write = core.db.write.bind(core.db)
    let changed = 0
    t.mock.method(core.db, 'write', async (...args: Parameters<typeof write>) => {
      changed += 1
      const scrubbed_at = `2026-01-0${changed}T00:00:00.000Z`
      if (changed < 3) await write((tables) => tables.updateTable('blobs').set({ scrubbed_at }).execute())
      return write(...args)
    })
    assert.deepEqual(brief(await core.check({ repair: true })), [`repaired damaged blob: ${layer.digest} in berth/a`])
    assert.equal(await core.has('a', layer), false)
  })

  test('whose row never stands still › is left, and that is told', async (t) => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    await core.flip(layer)
    const write = core.db.write.bind(core.db)
    t.mock.method(core.db, 'write', async (...args: Parameters<typeof write>) => {
      core.clock.advance(1)
      const scrubbed_at = new Date(core.clock.now()).toISOString()
      await write((tables) => tables.updateTable('blobs').set({ scrubbed_at }).execute())
      return write(...args)
    })
    const [finding, ...more] = await core.check({ repair: true })
    assert.deepEqual([finding?.outcome, finding?.done, more], ['left', 'it kept changing; try again', []])
  })

  test('that is collected and pushed again under every look › is nothing to tell', async (t) => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    const read = core.store.read.bind(core.store)
    let looks = 0
    t.mock.method(core.store, 'read', async (digest: typeof layer.digest) => {
      looks += 1
      core.clock.advance(1)
      await core.registry.deleteBlob(at('a'), digest)
      core.clock.advance(1)
      await core.collect({ graceMs: 0 })
      const missing = await read(digest).catch((error: unknown) => error)
      await core.push('a', layer)
      throw missing
    })
    assert.deepEqual(await core.check({ repair: true }), [])
    assert.ok(looks > 2, `${looks} looks`)
  })

  test('of a digest that is no digest › is told by name', async () => {
    await using core = await openTestIntegrity()
    await core.push('a', layer)
    await core.db.write((tables) => tables.updateTable('blobs').set({ digest: 'sha256:42' }).execute())
    const found = brief(await core.check())
    assert.equal(found[0], 'found malformed digest: sha256:42')
  })
})

suite('what the collection goes by', () => {
  test('a blob without links that is not queued, and one with links that is', async () => {
    await using core = await openWithImage()
    const lonely = aBlob('nobody links it')
    await core.push('a', lonely)
    await core.registry.deleteBlob(at('a'), lonely.digest)
    await core.db.write(async (tables) => {
      await tables.updateTable('blobs').set({ unlinked_since: null }).where('digest', '=', lonely.digest).execute()
      const then = '2026-01-01T00:00:00.000Z'
      await tables.updateTable('blobs').set({ unlinked_since: then }).where('digest', '=', layer.digest).execute()
    })
    const told = (outcome: string) =>
      [
        `${outcome} unqueued blob: ${lonely.digest}`,
        `${outcome} queued blob: ${layer.digest} in berth/a, berth/b`,
      ].sort()
    assert.deepEqual(brief(await core.check()).sort(), told('found'))
    assert.deepEqual(brief(await core.check({ repair: true })).sort(), told('repaired'))
    assert.deepEqual(await core.check(), [])
    const now = new Date(core.clock.now()).toISOString()
    assert.equal((await rowOf(core, lonely))?.unlinked_since, now, 'its grace begins')
  })

  test('a link that nothing names and that is not queued, and one that is named and queued', async () => {
    await using core = await openWithImage()
    const unused = aBlob('nobody names it')
    await core.push('a', unused)
    await core.db.write(async (tables) => {
      await tables.updateTable('repository_blobs').set({ unused_since: null }).execute()
      const then = '2026-01-01T00:00:00.000Z'
      await tables
        .updateTable('repository_blobs')
        .set({ unused_since: then })
        .where('digest', '=', layer.digest)
        .execute()
    })
    const told = (outcome: string) =>
      [
        `${outcome} queued link: ${layer.digest} in berth/a`,
        `${outcome} queued link: ${layer.digest} in berth/b`,
        `${outcome} unqueued link: ${unused.digest} in berth/a`,
      ].sort()
    assert.deepEqual(brief(await core.check()).sort(), told('found'))
    assert.deepEqual(brief(await core.check({ repair: true })).sort(), told('repaired'))
    assert.deepEqual(await core.check(), [])
  })
})

suite('a link without a blob', () => {
  const dropRow = (core: TestIntegrity) =>
    core.db.write((tables) => tables.deleteFrom('blobs').where('digest', '=', layer.digest).execute())

  test('gets its blob back where the bytes are there and right', async () => {
    await using core = await openWithImage()
    await dropRow(core)
    const found = brief(await core.check())
    assert.deepEqual(found.slice(0, 2), [
      `found link without a blob: ${layer.digest} in berth/a`,
      `found link without a blob: ${layer.digest} in berth/b`,
    ])
    assert.equal(found.at(-1), `found orphaned bytes: ${layer.digest}`)
    assert.deepEqual(brief(await core.check({ repair: true })), [
      `repaired link without a blob: ${layer.digest} in berth/a`,
    ])
    assert.deepEqual(await core.check(), [])
    assert.equal((await rowOf(core, layer))?.unlinked_since, null)
    assert.equal(await core.has('b', layer), true)
  })

  test('and one that is pushed at this moment › keeps what the push has entered', async (t) => {
    await using core = await openWithImage()
    await dropRow(core)
    const write = core.db.write.bind(core.db)
    let pushed = false
    t.mock.method(core.db, 'write', async (...args: Parameters<typeof write>) => {
      if (!pushed) {
        pushed = true
        await core.push('a', layer)
      }
      return write(...args)
    })
    assert.deepEqual(await core.check({ repair: true }), [])
    assert.equal(await core.has('b', layer), true)
  })

  test('is removed where they are not, and what needs it is told', async () => {
    await using core = await openWithImage()
    await dropRow(core)
    await core.flip(layer)
    assert.deepEqual(brief(await core.check({ repair: true })), [
      `repaired link without a blob: ${layer.digest} in berth/a`,
      `repaired link without a blob: ${layer.digest} in berth/b`,
      ...incomplete('left'),
      'repaired wrong usage: berth/a in berth/a',
      'repaired wrong usage: berth/b in berth/b',
      'repaired wrong usage: berth in berth',
      `repaired orphaned bytes: ${layer.digest}`,
    ])
    for (const repository of ['a', 'b']) await core.registry.pushBlob(at(repository), layer.digest, once(layer.bytes))
    assert.deepEqual(await core.check(), [])
  })
})
