import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf, manifestLimitBytes, mediaTypes } from '@berth/oci'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import {
  aBlob,
  aDocument,
  anImage,
  anIndex,
  aReferrer,
  aSignedSchema1,
  type Content,
  descriptorOf,
  foreignLayerType,
  type Image,
  pushBlob,
  pushImage,
  pushManifest,
  putManifest,
} from '../../../test/images.ts'
import { errorOf, errorsOf } from '../../../test/wire.ts'

const at = (reference: string, repository = 'team/app') => `/v2/${repository}/manifests/${reference}`

const get = (app: TestApp, reference: string, headers: Record<string, string> = {}, method = 'GET') =>
  app.fetch(at(reference), { method, headers })

const remove = (app: TestApp, reference: string) => app.fetch(at(reference), { method: 'DELETE' })

async function tagsOf(app: TestApp, repository = 'team/app'): Promise<string[]> {
  return ((await (await app.fetch(`/v2/${repository}/tags/list`)).json()) as { tags: string[] }).tags
}

async function startWith(image: Image, ...references: string[]): Promise<TestApp & AsyncDisposable> {
  const app = await startTestApp()
  await pushImage(app, 'team/app', image, ...references)
  return app
}

async function pushBlobsOf(app: TestApp, { config, layers }: Image): Promise<void> {
  for (const blob of [config, ...layers]) await pushBlob(app, 'team/app', blob)
}

/** The same manifest with other bytes: the body need not be compact. */
const padded = ({ mediaType, bytes }: Content, length: number): Content =>
  aBlob(Buffer.concat([bytes, Buffer.alloc(length - bytes.length, ' ')]), mediaType)

describe('PUT manifest', () => {
  test('by tag › answers 201 with an empty body, a relative location and the digest', async () => {
    await using app = await startTestApp()
    const image = anImage({ layers: 2 })
    await pushBlobsOf(app, image)
    const response = await putManifest(app, 'team/app', image.manifest, 'v1')
    assert.equal(response.status, 201)
    assert.equal(await response.text(), '')
    assert.equal(response.headers.get('location'), at(image.manifest.digest))
    assert.equal(response.headers.get('docker-content-digest'), image.manifest.digest)
    assert.equal(response.headers.get('oci-subject'), null)
    assert.equal(response.headers.get('oci-tag'), null)
  })

  test('by digest › the manifest has no tag', async () => {
    await using app = await startWith(anImage())
    assert.equal((await get(app, anImage().manifest.digest)).status, 200)
    assert.deepEqual(await tagsOf(app), [])
  })

  test('by encoded name and digest', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const { digest } = image.manifest
    assert.equal((await putManifest(app, 'team%2Fapp', image.manifest, encodeURIComponent(digest))).status, 201)
    assert.equal((await get(app, digest)).status, 200)
  })

  test('by sha512 digest', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const digest = digestOf('sha512', image.manifest.bytes)
    const response = await putManifest(app, 'team/app', image.manifest, digest)
    assert.equal(response.status, 201)
    assert.equal(response.headers.get('docker-content-digest'), digest)
    assert.equal((await get(app, digest)).headers.get('docker-content-digest'), digest)
  })

  test('ignores parameters and letter case of the content type', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const headers = { 'content-type': `${mediaTypes.ociManifest.replace('vnd', 'VND')}; charset=utf-8` }
    assert.equal((await putManifest(app, 'team/app', image.manifest, 'v1', headers)).status, 201)
    assert.equal((await get(app, 'v1')).headers.get('content-type'), mediaTypes.ociManifest)
  })

  test('answers 400 DIGEST_INVALID when the body has another digest', async () => {
    await using app = await startTestApp()
    const [image, other] = [anImage(), anImage({ seed: 'other' })]
    await pushBlobsOf(app, image)
    for (const reference of [other.manifest.digest, digestOf('sha512', other.manifest.bytes)]) {
      const response = await putManifest(app, 'team/app', image.manifest, reference)
      const { message } = await errorOf(response, 400, 'DIGEST_INVALID')
      assert.equal(message, 'provided digest did not match uploaded content')
    }
  })

  test('answers 400 MANIFEST_BLOB_UNKNOWN, an entry for each missing config and layer', async () => {
    await using app = await startTestApp()
    const image = anImage({ layers: 3 })
    await pushBlob(app, 'team/app', image.layers[1] as Content)
    const errors = await errorsOf(
      await putManifest(app, 'team/app', image.manifest, 'v1'),
      400,
      'MANIFEST_BLOB_UNKNOWN',
    )
    assert.deepEqual(
      errors.map(({ detail }) => detail).sort(),
      [image.config.digest, image.layers[0]?.digest, image.layers[2]?.digest].sort(),
    )
    assert.equal(errors[0]?.message, 'blob unknown to registry')
    assert.equal((await get(app, 'v1')).status, 404)
    assert.equal((await app.fetch('/v2/team/app/tags/list')).status, 404)
  })

  test("another repository's blobs do not count", async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushImage(app, 'team/other', image)
    await errorsOf(await putManifest(app, 'team/app', image.manifest, 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
  })

  test('answers 400 MANIFEST_BLOB_UNKNOWN for a missing child of an index', async () => {
    await using app = await startTestApp()
    const [here, missing] = [anImage({ seed: 'here' }), anImage({ seed: 'missing' })]
    await pushImage(app, 'team/app', here)
    const index = anIndex([here.manifest, missing.manifest])
    const error = await errorOf(await putManifest(app, 'team/app', index, 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
    assert.equal(error.detail, missing.manifest.digest)
  })

  for (const [what, bytes, type] of [
    ['text', 'hello', mediaTypes.ociManifest],
    ['an empty body', '', mediaTypes.ociManifest],
    ['a list', '[]', mediaTypes.ociManifest],
    ['no media type at all', JSON.stringify({ schemaVersion: 2 }), ''],
    ['an unknown media type', JSON.stringify({ schemaVersion: 2 }), 'application/json'],
    ['schema version 3', JSON.stringify({ schemaVersion: 3, manifests: [] }), mediaTypes.ociIndex],
    ['an image sent as index', anImage({ layers: 0 }).manifest.bytes, mediaTypes.ociIndex],
    ['an OCI image sent as Docker image', anImage({ layers: 0 }).manifest.bytes, mediaTypes.dockerManifest],
    [
      'an OCI image without mediaType sent as Docker image',
      anImage({ layers: 0, fields: { mediaType: undefined } }).manifest.bytes,
      mediaTypes.dockerManifest,
    ],
    [
      'an image that is an index too',
      anImage({ layers: 0, fields: { manifests: [] } }).manifest.bytes,
      mediaTypes.ociManifest,
    ],
  ] as const) {
    test(`answers 400 MANIFEST_INVALID for ${what}`, async () => {
      await using app = await startTestApp()
      await pushBlobsOf(app, anImage({ layers: 0 }))
      const response = await putManifest(app, 'team/app', aBlob(bytes, type), 'v1')
      const { message, detail } = await errorOf(response, 400, 'MANIFEST_INVALID')
      assert.equal(message, 'manifest invalid')
      assert.equal(typeof detail, 'string')
    })
  }

  for (const [reference, code] of [
    ['-v1', 'TAG_INVALID'],
    ['v%201', 'TAG_INVALID'],
    [`v${'1'.repeat(128)}`, 'TAG_INVALID'],
    ['sha256:abc', 'DIGEST_INVALID'],
    [`sha256:${'A'.repeat(64)}`, 'DIGEST_INVALID'],
    [`md5:${'a'.repeat(32)}`, 'DIGEST_INVALID'],
  ] as const) {
    test(`answers 400 ${code} for the reference ${reference.slice(0, 20)}`, async () => {
      await using app = await startTestApp()
      await errorOf(await putManifest(app, 'team/app', anImage().manifest, reference), 400, code)
      await errorOf(await get(app, reference), 400, code)
    })
  }

  for (const name of ['Team/app', 'team/-app', 'team//app', 'a'.repeat(256), 'team/app%20', 'team%5Capp', '..%2Fapp']) {
    test(`answers 400 NAME_INVALID for the repository ${name.slice(0, 20)}`, async () => {
      await using app = await startTestApp()
      await errorOf(await putManifest(app, name, anImage().manifest, 'v1'), 400, 'NAME_INVALID')
      await errorOf(await app.fetch(at('v1', name)), 400, 'NAME_INVALID')
    })
  }

  test('takes the longest tag and the longest name', async () => {
    await using app = await startTestApp()
    const [tag, name] = ['T'.repeat(128), `${'a'.repeat(127)}/${'b'.repeat(127)}`]
    await pushImage(app, name, anImage(), tag)
    assert.equal((await app.fetch(at(tag, name))).status, 200)
  })

  test('takes 4 MiB, and not a byte more', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const largest = padded(image.manifest, manifestLimitBytes)
    assert.equal(manifestLimitBytes, 4 * 1024 * 1024)
    assert.equal((await putManifest(app, 'team/app', largest, 'v1')).status, 201)
    const response = await get(app, 'v1')
    assert.equal(response.headers.get('content-length'), String(manifestLimitBytes))
    assert.equal(digestOf('sha256', Buffer.from(await response.arrayBuffer())), largest.digest)
    const error = await errorOf(
      await putManifest(app, 'team/app', padded(image.manifest, manifestLimitBytes + 1), 'v2'),
      400,
      'MANIFEST_INVALID',
    )
    assert.equal(error.detail, 'http: request body too large')
  })

  test('a body without a length is cut off at 4 MiB too', async () => {
    await using app = await startTestApp()
    const response = await app.fetch(at('v1'), {
      method: 'PUT',
      headers: { 'content-type': mediaTypes.ociManifest },
      body: new Blob([new Uint8Array(manifestLimitBytes + 1)]).stream(),
      duplex: 'half',
    } as RequestInit)
    await errorOf(response, 400, 'MANIFEST_INVALID')
  })

  test('repeated › changes nothing', async () => {
    const image = anImage()
    await using app = await startWith(image, 'v1')
    assert.equal((await putManifest(app, 'team/app', image.manifest, 'v1')).status, 201)
    assert.deepEqual(await tagsOf(app), ['v1'])
    assert.equal((await remove(app, image.manifest.digest)).status, 202)
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: [] })
  })

  test('to a tag that exists › the tag moves, and the old manifest stays', async () => {
    const [old, young] = [anImage({ seed: 'old' }), anImage({ seed: 'young' })]
    await using app = await startWith(old, 'latest', 'v1')
    await pushImage(app, 'team/app', young, 'latest')
    assert.equal((await get(app, 'latest')).headers.get('docker-content-digest'), young.manifest.digest)
    assert.equal((await get(app, 'v1')).headers.get('docker-content-digest'), old.manifest.digest)
    assert.equal((await get(app, old.manifest.digest)).status, 200)
    assert.deepEqual(await tagsOf(app), ['latest', 'v1'])
  })
})

describe('PUT manifest by digest with tag parameters', () => {
  test('points every tag at it and repeats them in OCI-Tag', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const reference = `${image.manifest.digest}?tag=v1&tag=latest&tag=v1`
    const response = await putManifest(app, 'team/app', image.manifest, reference)
    assert.equal(response.status, 201)
    assert.equal(response.headers.get('oci-tag'), 'v1, latest')
    assert.deepEqual(await tagsOf(app), ['latest', 'v1'])
  })

  test('takes 64 tag parameters, and answers 414 to one more', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushImage(app, 'team/app', image)
    const put = (count: number) => {
      const tags = Array.from({ length: count }, (_, index) => `tag=t${index}`)
      return putManifest(app, 'team/app', image.manifest, `${image.manifest.digest}?${tags.join('&')}`)
    }
    assert.equal((await put(64)).status, 201)
    assert.equal((await put(65)).status, 414)
  })

  test('answers 400 TAG_INVALID for a malformed one and stores nothing', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const reference = `${image.manifest.digest}?tag=v1&tag=-bad`
    await errorOf(await putManifest(app, 'team/app', image.manifest, reference), 400, 'TAG_INVALID')
    assert.equal((await get(app, image.manifest.digest)).status, 404)
  })

  test('by tag they mean nothing', async () => {
    await using app = await startTestApp()
    const image = anImage()
    await pushBlobsOf(app, image)
    const response = await putManifest(app, 'team/app', image.manifest, 'v1?tag=v2')
    assert.equal(response.headers.get('oci-tag'), null)
    assert.deepEqual(await tagsOf(app), ['v1'])
  })
})

describe('PUT manifest on a condition', () => {
  const current = anImage({ seed: 'current' })
  const next = anImage({ seed: 'next' })

  for (const [name, value, tag, status] of [
    ['if-none-match', '*', 'new', 201],
    ['if-none-match', '*', 'v1', 412],
    ['if-none-match', `"${current.manifest.digest}"`, 'v1', 412],
    ['if-none-match', `"${next.manifest.digest}"`, 'v1', 201],
    ['if-match', `"${current.manifest.digest}"`, 'v1', 201],
    ['if-match', current.manifest.digest, 'v1', 201],
    ['if-match', '*', 'v1', 201],
    ['if-match', '*', 'new', 412],
    ['if-match', `"${next.manifest.digest}"`, 'v1', 412],
  ] as const) {
    test(`${name}: ${value.slice(0, 16)} to ${tag === 'new' ? 'a new tag' : 'a tag that exists'} › ${status}`, async () => {
      await using app = await startWith(current, 'v1')
      await pushBlobsOf(app, next)
      const response = await putManifest(app, 'team/app', next.manifest, tag, { [name]: value })
      if (status === 412) await errorOf(response, 412, 'DENIED')
      else assert.equal(response.status, status)
      const found = await get(app, tag)
      const expected = status === 201 ? next.manifest.digest : tag === 'v1' ? current.manifest.digest : null
      assert.equal(found.headers.get('docker-content-digest'), expected)
    })
  }

  test('of several pushes that demand a new tag, one wins', async () => {
    await using app = await startTestApp()
    const images = Array.from({ length: 5 }, (_, index) => anImage({ seed: `racer ${index}` }))
    for (const image of images) await pushBlobsOf(app, image)
    const statuses = await Promise.all(
      images.map(async ({ manifest }) => {
        return (await putManifest(app, 'team/app', manifest, 'v1', { 'if-none-match': '*' })).status
      }),
    )
    assert.deepEqual(statuses.sort(), [201, 412, 412, 412, 412])
  })
})

describe('manifests of every kind', () => {
  const image = anImage()
  const kinds: readonly (readonly [string, Content])[] = [
    ['Docker image', anImage({ mediaType: mediaTypes.dockerManifest }).manifest],
    ['Docker manifest list', anIndex([image.manifest], { mediaType: mediaTypes.dockerManifestList })],
    ['OCI image', image.manifest],
    ['OCI image without mediaType', anImage({ fields: { mediaType: undefined } }).manifest],
    ['OCI index', anIndex([image.manifest])],
    ['empty OCI index', anIndex([])],
    [
      'OCI artifact manifest',
      aDocument(mediaTypes.ociArtifactManifest, {
        mediaType: mediaTypes.ociArtifactManifest,
        artifactType: 'application/x',
        blobs: image.layers.map(descriptorOf),
      }),
    ],
    [
      'ORAS artifact manifest',
      aDocument(mediaTypes.orasArtifactManifest, {
        mediaType: mediaTypes.orasArtifactManifest,
        artifactType: 'application/x',
        blobs: image.layers.map(descriptorOf),
        subject: descriptorOf(image.manifest),
      }),
    ],
    [
      'schema 1',
      aDocument(mediaTypes.dockerSchema1, {
        schemaVersion: 1,
        name: 'team/app',
        tag: 'v1',
        fsLayers: image.layers.map(({ digest }) => ({ blobSum: digest })),
        history: image.layers.map(() => ({ v1Compatibility: '{}' })),
      }),
    ],
    ['signed schema 1', aSignedSchema1(image.layers)],
    ['a chart', anImage({ config: aBlob('{"name":"chart"}', 'application/vnd.cncf.helm.config.v1+json') }).manifest],
  ]
  const charts = aBlob('{"name":"chart"}')

  for (const [what, manifest] of kinds) {
    test(`${what} › comes back byte by byte with its media type`, async () => {
      await using app = await startTestApp()
      await pushImage(app, 'team/app', image)
      await pushBlob(app, 'team/app', charts)
      const pushed = await putManifest(app, 'team/app', manifest, 'v1')
      assert.equal(pushed.status, 201, await pushed.text())
      assert.equal(pushed.headers.get('docker-content-digest'), manifest.digest)
      for (const reference of ['v1', manifest.digest]) {
        const response = await get(app, reference)
        assert.equal(response.status, 200)
        assert.equal(response.headers.get('content-type'), manifest.mediaType)
        assert.equal(response.headers.get('docker-content-digest'), manifest.digest)
        assert.ok(manifest.bytes.equals(Buffer.from(await response.arrayBuffer())))
      }
      assert.equal((await putManifest(app, 'team/app', manifest)).status, 201)
    })
  }

  test('signed schema 1 may be named by the whole body too', async () => {
    await using app = await startTestApp()
    await pushImage(app, 'team/app', image)
    const manifest = aSignedSchema1(image.layers)
    assert.equal((await putManifest(app, 'team/app', manifest, digestOf('sha256', manifest.bytes))).status, 201)
  })

  test('an index of indexes', async () => {
    await using app = await startTestApp()
    await pushImage(app, 'team/app', image)
    const inner = anIndex([image.manifest])
    const outer = anIndex([inner, image.manifest])
    await errorOf(await putManifest(app, 'team/app', outer, 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
    await pushManifest(app, 'team/app', inner)
    await pushManifest(app, 'team/app', outer, 'v1')
    assert.equal((await get(app, 'v1')).headers.get('docker-content-digest'), outer.digest)
  })

  test('an image that names one layer twice', async () => {
    await using app = await startTestApp()
    const layer = aBlob('twice')
    const twice = anImage({ fields: { layers: [descriptorOf(layer), descriptorOf(layer)] } })
    await pushBlob(app, 'team/app', layer)
    await pushBlob(app, 'team/app', twice.config)
    await pushManifest(app, 'team/app', twice.manifest, 'v1')
  })

  test('an image of many layers', async () => {
    await using app = await startTestApp()
    const layer = aBlob('first')
    await pushBlob(app, 'team/app', layer)
    const many = Array.from({ length: 1_200 }, (_, index) => descriptorOf(aBlob(`missing ${index}`)))
    const large = anImage({ fields: { layers: [descriptorOf(layer), ...many] } })
    await pushBlob(app, 'team/app', large.config)
    const response = await putManifest(app, 'team/app', large.manifest, 'v1')
    assert.equal((await errorsOf(response, 400, 'MANIFEST_BLOB_UNKNOWN')).length, 100, 'the first hundred are named')
    await app.registries.updateRegistry('berth', { sparseManifestsEnabled: true })
    await pushManifest(app, 'team/app', large.manifest, 'v1')
  })
})

describe('sparse manifests', () => {
  const image = anImage({ layers: 2 })
  const other = anImage({ seed: 'other' })

  for (const enabled of [false, true]) {
    const outcome = enabled ? 'are taken' : 'are refused'
    test(`${outcome}: an image without one of its layers`, async () => {
      await using app = await startTestApp({ sparseManifestsEnabled: enabled })
      await pushBlobsOf(app, { ...image, layers: image.layers.slice(1) })
      assert.equal((await putManifest(app, 'team/app', image.manifest, 'v1')).status, enabled ? 201 : 400)
    })

    test(`${outcome}: an index without one of its children`, async () => {
      await using app = await startTestApp({ sparseManifestsEnabled: enabled })
      await pushImage(app, 'team/app', image)
      const index = anIndex([image.manifest, other.manifest])
      assert.equal((await putManifest(app, 'team/app', index, 'v1')).status, enabled ? 201 : 400)
    })
  }

  test('are refused also where they are welcome when nothing is there, or the config is missing', async () => {
    await using app = await startTestApp({ sparseManifestsEnabled: true })
    await pushBlob(app, 'team/app', image.config)
    await errorsOf(await putManifest(app, 'team/app', image.manifest, 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
    await pushBlob(app, 'team/two', image.layers[0] as Content)
    await errorsOf(await putManifest(app, 'team/two', image.manifest, 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
    await errorsOf(await putManifest(app, 'team/app', anIndex([other.manifest]), 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
  })
})

describe('foreign layers', () => {
  const foreign = aBlob('windows base', foreignLayerType)
  const withForeign = (fields: object) =>
    anImage({ mediaType: mediaTypes.dockerManifest, fields: { layers: [{ ...descriptorOf(foreign), ...fields }] } })

  test('need not be there when they say where they are', async () => {
    await using app = await startTestApp()
    const image = withForeign({ urls: ['https://example.com/layer'] })
    await pushBlob(app, 'team/app', image.config)
    assert.equal((await putManifest(app, 'team/app', image.manifest, 'v1')).status, 201)
  })

  test('are ordinary blobs when they were pushed', async () => {
    await using app = await startTestApp()
    const image = withForeign({})
    await pushBlob(app, 'team/app', image.config)
    await pushBlob(app, 'team/app', foreign)
    assert.equal((await putManifest(app, 'team/app', image.manifest, 'v1')).status, 201)
    assert.equal((await app.fetch(`/v2/team/app/blobs/${foreign.digest}`)).status, 200)
  })

  for (const [what, fields, code] of [
    ['no urls', {}, 'MANIFEST_BLOB_UNKNOWN'],
    ['empty urls', { urls: [] }, 'MANIFEST_BLOB_UNKNOWN'],
    ['a url without a host', { urls: ['https:///layer'] }, 'MANIFEST_INVALID'],
    ['a url with a fragment', { urls: ['https://example.com/layer#x'] }, 'MANIFEST_INVALID'],
    ['a url of another scheme', { urls: ['file:///etc/passwd'] }, 'MANIFEST_INVALID'],
  ] as const) {
    test(`answers 400 ${code} for an absent one with ${what}`, async () => {
      await using app = await startTestApp()
      const image = withForeign(fields)
      await pushBlob(app, 'team/app', image.config)
      await errorOf(await putManifest(app, 'team/app', image.manifest, 'v1'), 400, code)
    })
  }

  test('an ordinary layer must be there although it has urls', async () => {
    await using app = await startTestApp()
    const layer = { ...descriptorOf(aBlob('absent')), urls: ['https://example.com/layer'] }
    const image = anImage({ fields: { layers: [layer] } })
    await pushBlob(app, 'team/app', image.config)
    await errorOf(await putManifest(app, 'team/app', image.manifest, 'v1'), 400, 'MANIFEST_BLOB_UNKNOWN')
  })
})

describe('GET manifest', () => {
  test('answers with type, length, digest and entity tag, and no charset', async () => {
    const image = anImage()
    await using app = await startWith(image, 'v1')
    const { digest, bytes } = image.manifest
    for (const method of ['GET', 'HEAD']) {
      for (const reference of ['v1', digest, encodeURIComponent(digest)]) {
        const response = await get(app, reference, {}, method)
        assert.equal(response.status, 200)
        assert.equal(response.headers.get('content-type'), mediaTypes.ociManifest)
        assert.equal(response.headers.get('content-length'), String(bytes.length))
        assert.equal(response.headers.get('docker-content-digest'), digest)
        assert.equal(response.headers.get('etag'), `"${digest}"`)
        assert.equal(await response.text(), method === 'GET' ? bytes.toString() : '')
      }
    }
  })

  test('finds it by an encoded repository', async () => {
    await using app = await startWith(anImage(), 'v1')
    assert.equal((await app.fetch(at('v1', 'team%2Fapp'))).status, 200)
    assert.equal((await app.fetch(at('v1', 'team%2fapp'))).status, 200)
  })

  test('answers 404 MANIFEST_UNKNOWN for a tag, a digest and a repository that do not exist', async () => {
    await using app = await startWith(anImage(), 'v1')
    const missing = anImage({ seed: 'missing' }).manifest.digest
    const byTag = await errorOf(await get(app, 'v2'), 404, 'MANIFEST_UNKNOWN')
    assert.equal(byTag.message, 'manifest tagged by "v2" is not found')
    const byDigest = await errorOf(await get(app, missing), 404, 'MANIFEST_UNKNOWN')
    assert.equal(byDigest.message, `manifest ${missing} is not found`)
    await errorOf(await app.fetch(at('v1', 'team/none')), 404, 'MANIFEST_UNKNOWN')
    assert.equal((await get(app, 'v2', {}, 'HEAD')).status, 404)
  })

  test("does not find another repository's manifest by its digest", async () => {
    await using app = await startWith(anImage(), 'v1')
    await pushImage(app, 'team/other', anImage({ seed: 'other' }))
    await errorOf(await app.fetch(at(anImage().manifest.digest, 'team/other')), 404, 'MANIFEST_UNKNOWN')
  })

  test('tags are told apart by letter case', async () => {
    await using app = await startWith(anImage(), 'v1')
    assert.equal((await get(app, 'V1')).status, 404)
  })

  test('names that look like the markers of a path are names', async () => {
    await using app = await startTestApp()
    for (const name of [
      'blobs/uploads',
      'manifests/manifests',
      'tags/list',
      'a/tags/list/b',
      'x/blobs',
      'referrers',
      'v2',
    ]) {
      await pushImage(app, name, anImage({ seed: name }), 'list')
      const response = await app.fetch(at('list', name))
      assert.equal(response.headers.get('docker-content-digest'), anImage({ seed: name }).manifest.digest, name)
      assert.deepEqual(await tagsOf(app, name), ['list'])
    }
  })

  for (const [name, value, status] of [
    ['if-none-match', 'quoted', 304],
    ['if-none-match', 'bare', 304],
    ['if-none-match', 'weak', 304],
    ['if-none-match', 'other', 200],
    ['if-match', 'quoted', 200],
    ['if-match', 'other', 412],
  ] as const) {
    test(`${name}, ${value} › ${status}`, async () => {
      const image = anImage()
      await using app = await startWith(image, 'v1')
      const { digest } = image.manifest
      const values = { quoted: `"${digest}"`, bare: digest, weak: `W/"${digest}"`, other: '"other"' }
      for (const method of ['GET', 'HEAD']) {
        const response = await get(app, 'v1', { [name]: values[value] }, method)
        assert.equal(response.status, status)
        if (status !== 304) continue
        assert.equal(await response.text(), '')
        assert.equal(response.headers.get('etag'), `"${digest}"`)
        assert.equal(response.headers.get('docker-content-digest'), digest)
      }
    })
  }
})

describe('DELETE manifest', () => {
  test('by tag › 202, the manifest stays', async () => {
    const image = anImage()
    await using app = await startWith(image, 'v1', 'v2')
    const response = await remove(app, 'v1')
    assert.equal(response.status, 202)
    assert.equal(await response.text(), '')
    assert.deepEqual(await tagsOf(app), ['v2'])
    assert.equal((await get(app, image.manifest.digest)).status, 200)
    assert.equal((await remove(app, 'v2')).status, 202)
    assert.deepEqual(await tagsOf(app), [])
    assert.equal((await get(app, image.manifest.digest)).status, 200)
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: ['team/app'] })
    await errorOf(await remove(app, 'v2'), 404, 'MANIFEST_UNKNOWN')
  })

  test('by digest › 202, all its tags go', async () => {
    const [image, other] = [anImage(), anImage({ seed: 'other' })]
    await using app = await startWith(image, 'v1', 'v2')
    await pushImage(app, 'team/app', other, 'v3')
    assert.equal((await remove(app, encodeURIComponent(image.manifest.digest))).status, 202)
    assert.deepEqual(await tagsOf(app), ['v3'])
    for (const reference of ['v1', 'v2', image.manifest.digest]) {
      await errorOf(await get(app, reference), 404, 'MANIFEST_UNKNOWN')
      await errorOf(await remove(app, reference), 404, 'MANIFEST_UNKNOWN')
    }
    assert.equal((await get(app, 'v3')).status, 200)
  })

  test('of the last manifest › the repository is gone from the catalog, and its tag list is 404', async () => {
    const image = anImage()
    await using app = await startWith(image, 'v1')
    await remove(app, image.manifest.digest)
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: [] })
    await errorOf(await app.fetch('/v2/team/app/tags/list'), 404, 'NAME_UNKNOWN')
    await pushManifest(app, 'team/app', image.manifest, 'v1')
    assert.deepEqual(await tagsOf(app), ['v1'])
  })

  test('in a repository that does not exist › 404', async () => {
    await using app = await startTestApp()
    assert.equal((await remove(app, 'v1')).status, 404)
    assert.equal((await remove(app, anImage().manifest.digest)).status, 404)
  })

  test('of an index › its children stay', async () => {
    const image = anImage()
    await using app = await startWith(image)
    const index = anIndex([image.manifest])
    await pushManifest(app, 'team/app', index, 'v1')
    assert.equal((await remove(app, index.digest)).status, 202)
    assert.equal((await get(app, image.manifest.digest)).status, 200)
  })

  test('of a subject › its referrers go with it, and theirs, and nothing else', async () => {
    const image = anImage()
    await using app = await startWith(image, 'v1')
    const first = aReferrer(image.manifest, { seed: 'first' })
    const second = aReferrer(first.manifest, { seed: 'second' })
    const bystander = aReferrer(anImage({ seed: 'elsewhere' }).manifest, { seed: 'bystander' })
    await pushImage(app, 'team/app', first, 'signed')
    await pushImage(app, 'team/app', second)
    await pushImage(app, 'team/app', bystander)
    await pushImage(app, 'team/other', first)
    assert.equal((await remove(app, image.manifest.digest)).status, 202)
    for (const { manifest } of [first, second]) assert.equal((await get(app, manifest.digest)).status, 404)
    assert.equal((await get(app, 'signed')).status, 404)
    assert.equal((await get(app, bystander.manifest.digest)).status, 200)
    assert.equal((await app.fetch(at(first.manifest.digest, 'team/other'))).status, 200)
    assert.equal((await remove(app, bystander.manifest.digest)).status, 202)
    assert.deepEqual(await (await app.fetch('/v2/_catalog')).json(), { repositories: ['team/other'] })
  })

  test('of a referrer › its subject stays', async () => {
    const image = anImage()
    await using app = await startWith(image)
    const referrer = aReferrer(image.manifest)
    await pushImage(app, 'team/app', referrer)
    assert.equal((await remove(app, referrer.manifest.digest)).status, 202)
    assert.equal((await get(app, image.manifest.digest)).status, 200)
  })
})
