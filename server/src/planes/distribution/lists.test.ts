import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { anImage, pushImage, pushManifest } from '../../../test/images.ts'
import { errorOf } from '../../../test/wire.ts'

const image = anImage()
const tagList = '/v2/team/app/tags/list'

async function startWithTags(...tags: string[]): Promise<TestApp & AsyncDisposable> {
  const app = await startTestApp()
  await pushImage(app, 'team/app', image, ...tags)
  return app
}

async function startWithRepositories(...names: string[]): Promise<TestApp & AsyncDisposable> {
  const app = await startTestApp()
  for (const name of names) await pushImage(app, name, image, 'v1')
  return app
}

/** More tags than anybody would push one by one. */
async function addTags(app: TestApp, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, index) => `t${String(index).padStart(5, '0')}`)
  for (let start = 0; start < count; start += 64) {
    const query = names.slice(start, start + 64).map((name) => `tag=${name}`)
    await pushManifest(app, 'team/app', image.manifest, `${image.manifest.digest}?${query.join('&')}`)
  }
  return names
}

async function tagsOf(app: TestApp, query = ''): Promise<{ tags: string[]; link: string | null }> {
  const response = await app.fetch(`${tagList}${query}`)
  assert.equal(response.status, 200, await response.clone().text())
  const { name, tags } = (await response.json()) as { name: string; tags: string[] }
  assert.equal(name, 'team/app')
  return { tags, link: response.headers.get('link') }
}

const targetOf = (link: string | null) => /^<([^>]+)>; rel="next"$/.exec(link ?? '')?.[1]

describe('GET tags/list', () => {
  test('answers name and tags in byte order', async () => {
    await using app = await startWithTags('v10', 'v2', 'V1', '_x', 'a.b', 'a-b', '0')
    const response = await app.fetch(tagList)
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
    assert.deepEqual(await response.json(), { name: 'team/app', tags: ['0', 'V1', '_x', 'a-b', 'a.b', 'v10', 'v2'] })
    assert.equal(response.headers.get('link'), null)
  })

  test('is empty for a repository of untagged manifests', async () => {
    await using app = await startWithTags()
    assert.deepEqual(await tagsOf(app), { tags: [], link: null })
  })

  test('answers 404 NAME_UNKNOWN for a repository without manifests', async () => {
    await using app = await startTestApp()
    const { message, detail } = await errorOf(await app.fetch(tagList), 404, 'NAME_UNKNOWN')
    assert.equal(message, 'repository name not known to registry')
    assert.deepEqual(detail, { name: 'team/app' })
    await app.fetch(`/v2/team/app/blobs/uploads/?digest=${image.config.digest}`, {
      method: 'POST',
      body: image.config.bytes,
    })
    await errorOf(await app.fetch(tagList), 404, 'NAME_UNKNOWN')
  })

  test('n › as many, and Link to the rest with n, last and an empty orderby', async () => {
    await using app = await startWithTags('a', 'b', 'c')
    const first = await tagsOf(app, '?n=2')
    assert.deepEqual(first, { tags: ['a', 'b'], link: '</v2/team/app/tags/list?last=b&n=2&orderby=>; rel="next"' })
    const response = await app.fetch(targetOf(first.link) ?? '')
    assert.deepEqual(((await response.json()) as { tags: string[] }).tags, ['c'])
    assert.equal(response.headers.get('link'), null)
  })

  test('n that is just enough › no Link', async () => {
    await using app = await startWithTags('a', 'b')
    assert.deepEqual(await tagsOf(app, '?n=2'), { tags: ['a', 'b'], link: null })
  })

  test('n=0 › nothing and no Link', async () => {
    await using app = await startWithTags('a')
    assert.deepEqual(await tagsOf(app, '?n=0'), { tags: [], link: null })
  })

  for (const n of ['-1', 'ten', '1.5', '', '+1', '0x10']) {
    test(`n=${n} › 400 PAGINATION_NUMBER_INVALID`, async () => {
      await using app = await startWithTags('a')
      const response = await app.fetch(`${tagList}?n=${n}`)
      const { message } = await errorOf(response, 400, 'PAGINATION_NUMBER_INVALID')
      assert.equal(message, 'invalid number of results requested')
      await errorOf(await app.fetch(`/v2/_catalog?n=${n}`), 400, 'PAGINATION_NUMBER_INVALID')
      const referrers = `/v2/team/app/referrers/${image.manifest.digest}?n=${n}`
      await errorOf(await app.fetch(referrers), 400, 'PAGINATION_NUMBER_INVALID')
    })
  }

  test('last › begins after it, whether it exists or not', async () => {
    await using app = await startWithTags('a', 'b', 'c')
    assert.deepEqual((await tagsOf(app, '?last=a')).tags, ['b', 'c'])
    assert.deepEqual((await tagsOf(app, '?last=aa')).tags, ['b', 'c'])
    assert.deepEqual((await tagsOf(app, '?last=A')).tags, ['a', 'b', 'c'])
    assert.deepEqual((await tagsOf(app, '?last=c')).tags, [])
    assert.deepEqual((await tagsOf(app, '?last=')).tags, ['a', 'b', 'c'])
    assert.deepEqual((await tagsOf(app, '?n=1&last=b&orderby=')).tags, ['c'])
  })

  test('100 without n; 1000 at most; Link leads through all of them', async () => {
    await using app = await startWithTags()
    const names = await addTags(app, 2_050)
    const standard = await tagsOf(app)
    assert.deepEqual(standard.tags, names.slice(0, 100))
    assert.equal(standard.link, '</v2/team/app/tags/list?last=t00099&n=100&orderby=>; rel="next"')
    for (const n of ['1001', '5000', '99999999999999999999']) {
      const { tags, link } = await tagsOf(app, `?n=${n}`)
      assert.equal(tags.length, 1_000)
      assert.equal(link, '</v2/team/app/tags/list?last=t00999&n=1000&orderby=>; rel="next"')
    }
    const found: string[] = []
    for (let next: string | undefined = `${tagList}?n=333`; next !== undefined; ) {
      const response = await app.fetch(next)
      found.push(...((await response.json()) as { tags: string[] }).tags)
      next = targetOf(response.headers.get('link'))
    }
    assert.deepEqual(found, names)
  })

  test('does not answer HEAD', async () => {
    await using app = await startWithTags('a')
    assert.equal((await app.fetch(tagList, { method: 'HEAD' })).status, 405)
  })
})

describe('GET /v2/_catalog', () => {
  test('answers the repositories in byte order', async () => {
    await using app = await startWithRepositories('team/app', 'team', 'team-a', 'a/b/c', '0', 'team.a')
    const response = await app.fetch('/v2/_catalog')
    assert.deepEqual(await response.json(), {
      repositories: ['0', 'a/b/c', 'team', 'team-a', 'team.a', 'team/app'],
    })
    assert.equal(response.headers.get('link'), null)
  })

  test('is empty in the beginning, and an upload alone makes no repository', async () => {
    await using app = await startTestApp()
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: [] })
    await app.fetch(`/v2/a/blobs/uploads/?digest=${image.config.digest}`, { method: 'POST', body: image.config.bytes })
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: [] })
  })

  test('n, last and Link page through names with slashes', async () => {
    await using app = await startWithRepositories('a/one', 'a/two', 'b')
    const first = await app.fetch('/v2/_catalog?n=1')
    assert.deepEqual(await first.json(), { repositories: ['a/one'] })
    assert.equal(first.headers.get('link'), '</v2/_catalog?last=a%2Fone&n=1&orderby=>; rel="next"')
    const second = await app.fetch(targetOf(first.headers.get('link')) ?? '')
    assert.deepEqual(await second.json(), { repositories: ['a/two'] })
    const third = await app.fetch(targetOf(second.headers.get('link')) ?? '')
    assert.deepEqual(await third.json(), { repositories: ['b'] })
    assert.equal(third.headers.get('link'), null)
    const after = await app.fetch('/v2/_catalog?last=a/one')
    assert.deepEqual(await after.json(), { repositories: ['a/two', 'b'] })
    const none = await app.fetch('/v2/_catalog?n=0')
    assert.deepEqual([await none.json(), none.headers.get('link')], [{ repositories: [] }, null])
  })

  test('100 without n, 1000 at most', async () => {
    await using app = await startTestApp()
    const names = Array.from({ length: 1_100 }, (_, index) => `r${String(index).padStart(5, '0')}`)
    await app.db.write(async (tables) => {
      const { id } = await tables.selectFrom('registries').select('id').executeTakeFirstOrThrow()
      const now = new Date(0).toISOString()
      const rows = names.map((name) => ({ registry_id: id, name, manifest_count: 1, created_at: now, updated_at: now }))
      await tables.insertInto('repositories').values(rows).execute()
    })
    const count = async (query: string) => {
      const response = await app.fetch(`/v2/_catalog${query}`)
      return ((await response.json()) as { repositories: string[] }).repositories.length
    }
    assert.deepEqual([await count(''), await count('?n=1000'), await count('?n=1001')], [100, 1_000, 1_000])
  })
})
