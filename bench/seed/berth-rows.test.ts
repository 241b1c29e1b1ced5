/** Copied rows must be what pushes would have made of them: whatever a migration adds, this notices. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { askOnce } from '../cases/requests.ts'
import { projectFolder } from '../folders.ts'
import { type Berth, berthKind, openBerth } from '../peers/berth.ts'
import {
  manyReferrers,
  manyRepositories,
  manyTags,
  referrersSubject,
  repositories,
  repositoryAt,
  tagAt,
} from './data-sets.ts'
import { seedImage, sha256 } from './images.ts'

const count = 250
const source = { source: projectFolder, workers: 1 }

suite('a store of Berth that was filled by copying rows', () => {
  let folder: string
  let berth: Berth
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-bench-rows-'))
    berth = await openBerth(berthKind(source), source, join(folder, 'data'))
    await berth.seedManifests(manyTags(count))
    await berth.seedRepositories(manyRepositories(count))
    await berth.seedManifests(manyReferrers(count))
    await berth.start()
  })
  after(async () => {
    await berth.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const listed = async <T>(path: string, access: Parameters<typeof askOnce>[2]): Promise<T> => {
    const { status, body } = await askOnce(berth, path, access)
    assert.equal(status, 200, body.toString('utf8'))
    return JSON.parse(body.toString('utf8')) as T
  }

  test('has every tag, each with a manifest of its own', async () => {
    const access = { repositories: [repositories.tags] }
    const { tags } = await listed<{ tags: string[] }>(`/v2/${repositories.tags}/tags/list?n=1000`, access)
    assert.deepEqual(
      tags,
      Array.from({ length: count }, (_, at) => tagAt(at)),
    )
    for (const at of [0, 1, count - 1]) {
      const { body } = await askOnce(berth, `/v2/${repositories.tags}/manifests/${tagAt(at)}`, access)
      assert.equal(sha256(body), seedImage(at, '').digest)
    }
  })

  test('has every repository in its catalog', async () => {
    const { repositories: names } = await listed<{ repositories: string[] }>('/v2/_catalog?n=1000', { catalog: true })
    const wanted = Array.from({ length: count }, (_, at) => repositoryAt(at))
    assert.deepEqual(names, [...wanted, repositories.referrers, repositories.tags])
  })

  test('lists referrers with what they say of themselves', async () => {
    const path = `/v2/${repositories.referrers}/referrers/${referrersSubject.digest}?n=1000`
    const { manifests } = await listed<{ manifests: { artifactType: string; annotations: Record<string, string> }[] }>(
      path,
      { repositories: [repositories.referrers] },
    )
    const texts = new Set(manifests.map(({ annotations }) => Object.values(annotations).join()))
    assert.ok(texts.size >= Math.min(count, 100), `${texts.size} different ones`)
  })

  test('is whole for `berth fsck`', async () => {
    assert.match(await berth.command('fsck'), /./)
  })
})
