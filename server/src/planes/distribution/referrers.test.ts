import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { mediaTypes } from '@berth/oci'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import {
  aBlob,
  aDocument,
  anImage,
  anIndex,
  aReferrer,
  type Content,
  descriptorOf,
  pushBlob,
  pushImage,
  pushManifest,
  putManifest,
} from '../../../test/images.ts'
import { errorOf } from '../../../test/wire.ts'

const subject = anImage({ seed: 'subject' }).manifest

const referrersOf = (app: TestApp, query = '', digest: string = subject.digest) =>
  app.fetch(`/v2/team/app/referrers/${digest}${query}`)

interface Entry {
  digest: string
  mediaType: string
  size: number
  artifactType?: string
  annotations?: Record<string, string>
}

async function entriesOf(response: Response): Promise<Entry[]> {
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), mediaTypes.ociIndex)
  const { manifests, ...rest } = (await response.json()) as { manifests: Entry[] }
  assert.deepEqual(rest, { schemaVersion: 2, mediaType: mediaTypes.ociIndex })
  return manifests
}

const digestsOf = async (response: Response) => (await entriesOf(response)).map(({ digest }) => digest)

describe('GET referrers', () => {
  test('answers an empty index for a subject that nobody refers to, that is unknown, or in no repository', async () => {
    await using app = await startTestApp()
    assert.deepEqual(await entriesOf(await referrersOf(app)), [])
    await pushImage(app, 'team/app', anImage({ seed: 'subject' }))
    const response = await referrersOf(app)
    assert.equal(response.headers.get('oci-filters-applied'), null)
    assert.equal(response.headers.get('link'), null)
    assert.deepEqual(await entriesOf(response), [])
    assert.deepEqual(await entriesOf(await referrersOf(app, '', aBlob('x', '', 'sha512').digest)), [])
  })

  for (const digest of ['latest', 'sha256:abc', `sha256:${'A'.repeat(64)}`]) {
    test(`answers 400 DIGEST_INVALID for ${digest.slice(0, 20)}`, async () => {
      await using app = await startTestApp()
      await errorOf(await referrersOf(app, '', digest), 400, 'DIGEST_INVALID')
    })
  }

  test('lists a referrer with type, size, artifact type and annotations, before its subject is there', async () => {
    await using app = await startTestApp()
    const annotations = { 'org.example.key': 'w\u00e9rt "quoted"' }
    const referrer = aReferrer(subject, { artifactType: 'application/vnd.example.sbom', fields: { annotations } })
    for (const blob of [referrer.config, ...referrer.layers]) await pushBlob(app, 'team/app', blob)
    const pushed = await putManifest(app, 'team/app', referrer.manifest)
    assert.equal(pushed.headers.get('oci-subject'), subject.digest)
    const expected = [{ ...descriptorOf(referrer.manifest), artifactType: 'application/vnd.example.sbom', annotations }]
    assert.deepEqual(await entriesOf(await referrersOf(app)), expected)
    await pushImage(app, 'team/app', anImage({ seed: 'subject' }))
    assert.deepEqual(await entriesOf(await referrersOf(app)), expected)
    assert.deepEqual(await entriesOf(await referrersOf(app, '', encodeURIComponent(subject.digest))), expected)
  })

  test("the artifact type is the config's media type where the manifest states none", async () => {
    await using app = await startTestApp()
    const config = aBlob('{}', 'application/vnd.example.config+json')
    await pushImage(app, 'team/app', aReferrer(subject, { config }))
    const [entry] = await entriesOf(await referrersOf(app))
    assert.equal(entry?.artifactType, config.mediaType)
    assert.equal(entry && 'annotations' in entry, false)
  })

  test('an index without an artifact type has none, one with it has it', async () => {
    await using app = await startTestApp()
    const plain = anIndex([], { fields: { subject: descriptorOf(subject) } })
    const typed = anIndex([], { fields: { subject: descriptorOf(subject), artifactType: 'application/x' } })
    await pushManifest(app, 'team/app', plain)
    await pushManifest(app, 'team/app', typed)
    const found = new Map((await entriesOf(await referrersOf(app))).map((entry) => [entry.digest, entry]))
    assert.deepEqual(found.get(plain.digest), descriptorOf(plain))
    assert.deepEqual(found.get(typed.digest), { ...descriptorOf(typed), artifactType: 'application/x' })
  })

  for (const mediaType of [mediaTypes.ociArtifactManifest, mediaTypes.orasArtifactManifest]) {
    test(`${mediaType} refers too`, async () => {
      await using app = await startTestApp()
      const artifact = aDocument(mediaType, { mediaType, artifactType: 'a/b', subject: descriptorOf(subject) })
      await pushManifest(app, 'team/app', artifact)
      assert.deepEqual(await entriesOf(await referrersOf(app)), [{ ...descriptorOf(artifact), artifactType: 'a/b' }])
    })
  }

  test('Docker manifests refer to nothing', async () => {
    await using app = await startTestApp()
    const image = anImage({ mediaType: mediaTypes.dockerManifest, fields: { subject: descriptorOf(subject) } })
    await pushImage(app, 'team/app', image)
    assert.deepEqual(await entriesOf(await referrersOf(app)), [])
  })

  test("another repository's referrers do not count", async () => {
    await using app = await startTestApp()
    await pushImage(app, 'team/other', aReferrer(subject))
    assert.deepEqual(await entriesOf(await referrersOf(app)), [])
  })

  test('a deleted referrer is not listed any more', async () => {
    await using app = await startTestApp()
    const referrer = aReferrer(subject)
    await pushImage(app, 'team/app', referrer)
    await app.fetch(`/v2/team/app/manifests/${referrer.manifest.digest}`, { method: 'DELETE' })
    assert.deepEqual(await entriesOf(await referrersOf(app)), [])
  })
})

describe('GET referrers?artifactType=', () => {
  const types = ['application/sbom+json', 'application/signature', 'application/signature']

  async function startWithThree(): Promise<{ app: TestApp & AsyncDisposable; manifests: Content[] }> {
    const app = await startTestApp()
    const manifests: Content[] = []
    for (const [index, artifactType] of types.entries()) {
      const referrer = aReferrer(subject, { seed: `referrer ${index}`, artifactType })
      await pushImage(app, 'team/app', referrer)
      manifests.push(referrer.manifest)
    }
    return { app, manifests }
  }

  test('lists those of the type and says that it filtered', async () => {
    const { app, manifests } = await startWithThree()
    await using _ = app
    for (const [index, type] of types.slice(0, 2).entries()) {
      const response = await referrersOf(app, `?artifactType=${encodeURIComponent(type)}`)
      assert.equal(response.headers.get('oci-filters-applied'), 'artifactType')
      const expected = manifests.slice(index, index + (index === 0 ? 1 : 2)).map(({ digest }) => digest)
      assert.deepEqual(await digestsOf(response), expected.sort())
    }
  })

  test('an unknown type lists none, and an empty one is no filter', async () => {
    const { app } = await startWithThree()
    await using _ = app
    assert.deepEqual(await entriesOf(await referrersOf(app, '?artifactType=none')), [])
    const all = await referrersOf(app, '?artifactType=')
    assert.equal(all.headers.get('oci-filters-applied'), null)
    assert.equal((await entriesOf(all)).length, 3)
  })

  test('the type goes along with Link from page to page', async () => {
    const { app, manifests } = await startWithThree()
    await using _ = app
    const first = await referrersOf(app, '?artifactType=application/signature&n=1')
    const link = first.headers.get('link') ?? ''
    const [digest] = await digestsOf(first)
    assert.equal(
      link,
      `</v2/team/app/referrers/${subject.digest}?last=${encodeURIComponent(digest ?? '')}&n=1&orderby=&artifactType=application%2Fsignature>; rel="next"`,
    )
    const second = await app.fetch(/<(.*)>/.exec(link)?.[1] ?? '')
    assert.equal(second.headers.get('link'), null)
    assert.equal(second.headers.get('oci-filters-applied'), 'artifactType')
    const expected = manifests.slice(1).map((manifest) => manifest.digest)
    assert.deepEqual([digest, ...(await digestsOf(second))], expected.sort())
  })
})

describe('GET referrers, page by page', () => {
  test('Link leads through all of them, each once, in the order of their digests', async () => {
    await using app = await startTestApp()
    const digests: string[] = []
    for (let index = 0; index < 7; index++) {
      const referrer = aReferrer(subject, { seed: `referrer ${index}` })
      await pushImage(app, 'team/app', referrer)
      digests.push(referrer.manifest.digest)
    }
    const found: string[] = []
    const sizes: number[] = []
    for (let next: string | undefined = `/v2/team/app/referrers/${subject.digest}?n=3`; next !== undefined; ) {
      const response = await app.fetch(next)
      const page = await digestsOf(response)
      sizes.push(page.length)
      found.push(...page)
      next = /<(.*)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1]
    }
    assert.deepEqual(found, digests.sort())
    assert.deepEqual(sizes, [3, 3, 1])
  })

  test('a page ends early rather than growing beyond the size of a manifest', async () => {
    await using app = await startTestApp()
    const annotations = { padding: 'x'.repeat(1_000_000) }
    for (let index = 0; index < 5; index++) {
      await pushImage(app, 'team/app', aReferrer(subject, { seed: `referrer ${index}`, fields: { annotations } }))
    }
    const found: string[] = []
    for (let next: string | undefined = `/v2/team/app/referrers/${subject.digest}`; next !== undefined; ) {
      const response = await app.fetch(next)
      assert.ok(Number(response.headers.get('content-length')) < 4 * 1024 * 1024)
      found.push(...(await digestsOf(response)))
      next = /<(.*)>; rel="next"/.exec(response.headers.get('link') ?? '')?.[1]
    }
    assert.equal(new Set(found).size, 5)
    assert.equal(found.length, 5)
  })
})
