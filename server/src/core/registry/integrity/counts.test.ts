import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { at, once, recount } from '../../../../test/core.ts'
import { anImage, type Content } from '../../../../test/images.ts'
import { brief, openTestIntegrity, type TestIntegrity } from '../../../../test/integrity.ts'

const image = anImage({ layers: 2, seed: 'counted' })
const layer = image.layers[0] as Content

/** In two repositories of one registry and one of another. */
async function openWithImages(): Promise<TestIntegrity & AsyncDisposable> {
  const core = await openTestIntegrity()
  await core.pushImage('a', image, 'v1')
  await core.pushImage('b', image, 'v1')
  await core.registry.pushBlob(at('c', 'other'), layer.digest, once(layer.bytes))
  return core
}

async function assertRepaired(core: TestIntegrity, ...told: string[]): Promise<void> {
  assert.deepEqual(
    brief(await core.check()),
    told.map((line) => `found ${line}`),
  )
  assert.deepEqual(
    brief(await core.check({ repair: true })),
    told.map((line) => `repaired ${line}`),
  )
  assert.deepEqual(await core.check(), [])
  for (const [name, usage] of Object.entries(await recount(core.db))) {
    const [registry = '', repository] = name.split('/')
    const of = repository === undefined ? { registry } : { registry, repository }
    assert.deepEqual(await core.registry.usageOf(of), usage, name)
  }
}

suite('what is counted', () => {
  test('links of a blob in a registry: wrong, absent, and of a blob that nobody links', async () => {
    await using core = await openWithImages()
    await core.db.write(async (tables) => {
      await tables
        .updateTable('registry_blobs')
        .set({ links: 7 })
        .where('digest', '=', layer.digest)
        .where('registry_id', '=', 1)
        .execute()
    })
    await assertRepaired(core, `wrong link count: ${layer.digest} in berth`)
    const [finding] = await (async () => {
      await core.db.write((tables) => tables.updateTable('registry_blobs').set({ links: 7 }).execute())
      return core.check({ repair: true })
    })()
    assert.match(finding?.detail ?? '', /^7 are noted, and [12] link it$/)

    const nobody = `sha256:${'0'.repeat(64)}`
    await core.db.write(async (tables) => {
      await tables.deleteFrom('registry_blobs').where('digest', '=', layer.digest).execute()
      await tables.insertInto('registry_blobs').values({ registry_id: 1, digest: nobody, links: 1 }).execute()
    })
    const findings = await core.check({ repair: true })
    assert.deepEqual(brief(findings).sort(), [
      `repaired wrong link count: ${nobody} in berth`,
      `repaired wrong link count: ${layer.digest} in berth`,
      `repaired wrong link count: ${layer.digest} in other`,
    ])
    assert.deepEqual(await core.check(), [])
    const counts = await core.db.read((tables) =>
      tables
        .selectFrom('registry_blobs')
        .where('digest', '=', layer.digest)
        .orderBy('registry_id')
        .select('links')
        .execute(),
    )
    assert.deepEqual(counts, [{ links: 2 }, { links: 1 }])
  })

  test('manifests of a repository', async () => {
    await using core = await openWithImages()
    await core.db.write((tables) =>
      tables.updateTable('repositories').set({ manifest_count: 0 }).where('name', '=', 'b').execute(),
    )
    await assertRepaired(core, 'wrong manifest count: berth/b in berth/b')
    assert.deepEqual((await core.registry.listRepositories('berth', { limit: 9, last: '' })).entries, ['a', 'b'])
  })

  test('bytes of a repository, of blobs and of manifests', async () => {
    await using core = await openWithImages()
    await core.db.write((tables) =>
      tables
        .updateTable('repository_usage')
        .set((row) => ({ blob_bytes: row('blob_bytes', '+', 5) }))
        .where('repository_id', '=', 1)
        .execute(),
    )
    const told = 'wrong usage: berth/a in berth/a'
    const [finding] = await core.check()
    assert.match(
      finding?.detail ?? '',
      /^noted are \d+ bytes of blobs and \d+ of manifests, and there are \d+ and \d+$/,
    )
    await assertRepaired(core, told)
    await core.db.write((tables) => tables.deleteFrom('repository_usage').where('repository_id', '=', 1).execute())
    await assertRepaired(core, told)
  })

  test('bytes of a registry', async () => {
    for (const column of ['blob_bytes', 'manifest_bytes'] as const) {
      await using core = await openWithImages()
      await core.db.write((tables) =>
        tables
          .updateTable('registry_usage')
          .set((row) => ({ [column]: row(column, '-', 1_000) }))
          .where('registry_id', '=', 1)
          .execute(),
      )
      await assertRepaired(core, 'wrong usage: berth in berth')
    }
  })
})
