/** Weaknesses that were found in other registries, clients and servers, one test each: they must not be here. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { suite } from 'node:test'
import { openFilesystemBlobStore } from '../../server/src/backends/blobs/filesystem.ts'
import { openMemoryBlobStore } from '../../server/src/backends/blobs/memory.ts'
import { createListener } from '../../server/src/http/listener.ts'
import { startTestApp, type TestApp, testSettings } from '../../server/test/app.ts'
import {
  basic,
  bearer,
  type Client,
  createClient,
  fetchToken,
  pushBlob,
  pushManifest,
  type Reply,
  sha256,
} from '../client.ts'
import { decodePart, signed, strangersPrivateKey, strangersPublicKey } from './categories/tokens.ts'
import { exchange, headerOf, readAnswers } from './wire.ts'
import { fill, nullGuid, ociIndex, ociManifest } from './world.ts'

const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json'
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json'

function adminOf(app: TestApp, context: { after: (work: () => void) => void }): Client {
  const client = createClient(app.port, app.admin)
  context.after(() => client.close())
  return client
}

/** A client whose token reaches one repository and cannot even mount from another. */
async function clientFor(app: TestApp, admin: Client, repository: string): Promise<Client> {
  const scope = `repository:${repository}:pull,push,delete`
  const wide = await fetchToken(admin, app.host, [scope])
  return admin.as(bearer(await fetchToken(admin.as(basic(nullGuid, wide)), app.host, [scope])))
}

function assertRefused(reply: Reply, status: number, code: string, what: string): void {
  const text = reply.body.toString('utf8')
  assert.equal(reply.status, status, `${what}: ${text.slice(0, 300)}`)
  const { errors } = JSON.parse(text) as { errors: { code: string }[] }
  assert.deepEqual([...new Set(errors.map((error) => error.code))], [code], what)
}

const put = (client: Client, path: string, body: Uint8Array | string, type: string) =>
  client.ask('PUT', path, { body: Buffer.from(body), headers: { 'content-type': type } })

suite('manifests that are two things at once', () => {
  test('CVE-2021-41190 › a body that passes for an image and for an index is refused under every type', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifestBytes, manifest } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const image = JSON.parse(manifestBytes.toString('utf8')) as Record<string, unknown>
    const manifests = [{ mediaType: ociManifest, digest: manifest, size: manifestBytes.length }]
    const { mediaType: _, ...untyped } = image
    const bodies: readonly (readonly [string, unknown])[] = [
      ['image and index', { ...image, manifests }],
      ['image and index, without a mediaType', { ...untyped, manifests }],
      ['index with empty layers', { schemaVersion: 2, manifests, layers: [] }],
      ['index with a config', { schemaVersion: 2, manifests, config: image.config }],
      ['index with null for layers', { schemaVersion: 2, manifests, layers: null }],
      ['image with null for manifests', { ...untyped, manifests: null }],
      ['image with fsLayers', { ...untyped, fsLayers: [] }],
    ]
    for (const [title, body] of bodies) {
      for (const type of [ociManifest, ociIndex, dockerManifest, dockerList]) {
        const reply = await put(admin, '/v2/a/manifests/confused', JSON.stringify(body), type)
        assertRefused(reply, 400, 'MANIFEST_INVALID', `${title} as ${type}`)
      }
    }
  })

  test('CVE-2021-41190 › the Content-Type and the mediaType of the body must agree, and stay what they were', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    for (const type of [ociIndex, dockerManifest, dockerList]) {
      assertRefused(await put(admin, '/v2/a/manifests/v2', manifestBytes, type), 400, 'MANIFEST_INVALID', type)
    }
    for (const accept of [dockerManifest, ociManifest, '*/*']) {
      const reply = await admin.ask('GET', '/v2/a/manifests/v1', { headers: { accept } })
      assert.ok(reply.status === 404 || reply.headers['content-type'] === ociManifest, accept)
    }
  })

  test('encoding/json folds case › fields that differ from a deciding one only in case are refused', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const image = JSON.parse(manifestBytes.toString('utf8')) as Record<string, unknown>
    for (const field of [
      'Layers',
      'LAYERS',
      'layerſ',
      'Config',
      'MediaType',
      'ſchemaVersion',
      'Manifests',
      'subJect',
    ]) {
      const body = JSON.stringify({ ...image, [field]: [] })
      assertRefused(await put(admin, '/v2/a/manifests/v2', body, ociManifest), 400, 'MANIFEST_INVALID', field)
    }
  })

  test('descriptors that lie › embedded data must be the content, and a stated size changes nothing about the blob', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifestBytes, blob } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const image = JSON.parse(manifestBytes.toString('utf8')) as { config: object; layers: [{ size: number }] }
    const lies = ['AAAA', '!', Buffer.from('another config').toString('base64'), '']
    for (const data of lies) {
      const body = JSON.stringify({ ...image, config: { ...image.config, data } })
      assertRefused(await put(admin, '/v2/a/manifests/v2', body, ociManifest), 400, 'MANIFEST_INVALID', data)
    }
    const huge = JSON.stringify({ ...image, layers: [{ ...image.layers[0], size: Number.MAX_SAFE_INTEGER }] })
    const reply = await put(admin, '/v2/a/manifests/v2', huge, ociManifest)
    assert.ok(reply.status === 201 || reply.status === 400, String(reply.status))
    assert.equal((await admin.ask('HEAD', `/v2/a/blobs/${blob}`)).headers['content-length'], '5')
  })

  test('descriptors that lie › sizes may add up to more than a number holds', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const image = JSON.parse(manifestBytes.toString('utf8')) as Record<string, unknown>
    const layers = Array.from({ length: 2000 }, (_, index) => ({
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
      digest: sha256(Buffer.from(String(index))),
      size: Number.MAX_SAFE_INTEGER,
      urls: ['https://example.com/layer'],
    }))
    const reply = await put(admin, '/v2/a/manifests/huge', JSON.stringify({ ...image, layers }), ociManifest)
    assert.equal(reply.status, 201, reply.body.toString('utf8'))
    assert.equal((await admin.ask('GET', '/v2/a/manifests/huge')).status, 200)
  })

  test('__proto__ › a field of that name is a field like any other', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const body = `{"__proto__":{"polluted":true},"annotations":{"__proto__":"x","constructor":"y"},${manifestBytes
      .toString('utf8')
      .slice(1)
      .replace(/"annotations":\{[^}]*\},?/, '')
      .replace(/,\}$/, '}')}`
    const reply = await put(admin, '/v2/a/manifests/proto', body, ociManifest)
    assert.equal(reply.status, 201, reply.body.toString('utf8'))
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    assert.equal((await admin.ask('GET', '/v2/a/manifests/proto')).body.toString('utf8'), body)
  })
})

suite('requests for too much', () => {
  test('CVE-2023-2253 › n of a list is cut to 1000, however large it is', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifest, manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    for (let start = 0; start < 1200; start += 64) {
      const tags = Array.from({ length: 64 }, (_, index) => `tag=t${start + index}`).join('&')
      assert.equal((await put(admin, `/v2/a/manifests/${manifest}?${tags}`, manifestBytes, ociManifest)).status, 201)
    }
    for (const n of ['1001', '2147483647', '9223372036854775807', '18446744073709551616', '9'.repeat(4000)]) {
      const tags = await admin.ask('GET', `/v2/a/tags/list?n=${n}`)
      assert.equal((JSON.parse(tags.body.toString('utf8')) as { tags: string[] }).tags.length, 1000, n)
      assert.equal((await admin.ask('GET', `/v2/_catalog?n=${n}`)).status, 200, n)
    }
    for (const n of ['-1', '1e9', '', '0x10']) {
      const reply = await admin.ask('GET', `/v2/_catalog?n=${n}`)
      assertRefused(reply, 400, 'PAGINATION_NUMBER_INVALID', n)
    }
  })

  test('CVE-2017-11468 › a manifest above 4 MiB is refused, also when it comes without a length', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const body = Buffer.alloc(6 * 1024 * 1024, 0x20)
    const headers = { 'content-type': ociManifest }
    assertRefused(await admin.ask('PUT', '/v2/a/manifests/v1', { body, headers }), 400, 'MANIFEST_INVALID', 'length')
    const pieces = { body, headers, pieces: 20 }
    assertRefused(await admin.ask('PUT', '/v2/a/manifests/v1', pieces), 400, 'MANIFEST_INVALID', 'chunked')
  })

  test('deep JSON › a manifest of nothing but brackets is refused at once', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const depth = 2 * 1024 * 1024 - 100
    const { manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const bodies = ['['.repeat(depth), '['.repeat(depth) + ']'.repeat(depth), '{"layers":'.repeat(100_000)]
    const types = [ociManifest, ociIndex, 'application/vnd.docker.distribution.manifest.v1+prettyjws']
    for (const body of bodies) {
      for (const type of types) {
        assertRefused(await put(admin, '/v2/a/manifests/v1', body, type), 400, 'MANIFEST_INVALID', type)
      }
    }
    const within = `{"x":${'['.repeat(500_000)}${']'.repeat(500_000)},${manifestBytes.toString('utf8').slice(1)}`
    assert.ok([201, 400].includes((await put(admin, '/v2/a/manifests/v2', within, ociManifest)).status))
  })

  test('nested indexes › a chain of 300 is pushed, pulled and deleted link by link, and cannot close', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    let { manifest: digest, manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    let mediaType = ociManifest
    const chain: string[] = []
    for (let depth = 0; depth < 300; depth++) {
      const manifests = [{ mediaType, digest, size: manifestBytes.length }]
      const pushed = await pushManifest(admin, 'a', 'top', {
        schemaVersion: 2,
        mediaType: ociIndex,
        manifests,
      } as never)
      digest = pushed.digest
      manifestBytes = pushed.bytes
      mediaType = ociIndex
      chain.push(digest)
    }
    const missing = sha256(Buffer.from('not there'))
    const open = {
      schemaVersion: 2,
      mediaType: ociIndex,
      manifests: [{ mediaType: ociIndex, digest: missing, size: 2 }],
    }
    const reply = await put(admin, '/v2/a/manifests/top', JSON.stringify(open), ociIndex)
    assertRefused(reply, 400, 'MANIFEST_BLOB_UNKNOWN', 'a child that is not there yet, itself for instance')
    assert.equal((await admin.ask('GET', '/v2/a/manifests/top')).body.length, manifestBytes.length)
    assert.equal((await admin.ask('DELETE', `/v2/a/manifests/${chain.at(-1)}`)).status, 202)
    assert.equal((await admin.ask('GET', `/v2/a/manifests/${chain.at(-1)}`)).status, 404)
    assert.equal((await admin.ask('GET', `/v2/a/manifests/${chain.at(-2)}`)).status, 200)
  })

  test('nested indexes › an index of 10,000 children is answered, so is one of 10,000 missing ones, and one more is too many', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifest, manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const child = { mediaType: ociManifest, digest: manifest, size: manifestBytes.length }
    const index = (manifests: unknown[]) => JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests })
    const same = await put(admin, '/v2/a/manifests/wide', index(Array(10_000).fill(child)), ociIndex)
    assert.equal(same.status, 201, same.body.toString('utf8').slice(0, 300))
    const absent = Array.from({ length: 10_000 }, (_, at) => ({ ...child, digest: sha256(Buffer.from(String(at))) }))
    const reply = await put(admin, '/v2/a/manifests/wide', index(absent), ociIndex)
    assertRefused(reply, 400, 'MANIFEST_BLOB_UNKNOWN', 'missing children')
    const more = await put(admin, '/v2/a/manifests/wide', index(Array(10_001).fill(child)), ociIndex)
    assertRefused(more, 400, 'MANIFEST_INVALID', 'too many children')
  })

  test('chains of referrers › deleting the first of 500 takes them all, without recursion', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifest, manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const image = JSON.parse(manifestBytes.toString('utf8')) as { mediaType: string }
    let subject = { mediaType: ociManifest, digest: manifest, size: manifestBytes.length }
    for (let depth = 0; depth < 500; depth++) {
      const { digest, bytes } = await pushManifest(admin, 'a', undefined, { ...image, subject } as {
        mediaType: string
      })
      subject = { mediaType: ociManifest, digest, size: bytes.length }
    }
    assert.equal((await admin.ask('DELETE', `/v2/a/manifests/${manifest}`)).status, 202)
    assert.equal((await admin.ask('GET', `/v2/a/manifests/${subject.digest}`)).status, 404)
    assert.equal((await admin.ask('GET', '/v2/a/tags/list')).status, 404)
  })

  test('annotation bombs › a page of referrers stays as large as a manifest, and the pages hold them all', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { manifest, manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const image = JSON.parse(manifestBytes.toString('utf8')) as { mediaType: string }
    const subject = { mediaType: ociManifest, digest: manifest, size: manifestBytes.length }
    const pushed = new Set<string>()
    for (let index = 0; index < 40; index++) {
      const bomb = 'x'.repeat(1_500_000)
      const more =
        index % 2 === 0 ? { annotations: { index: String(index), bomb } } : { artifactType: `a/${index}${bomb}` }
      pushed.add((await pushManifest(admin, 'a', undefined, { ...image, subject, ...more })).digest)
    }
    const found = new Set<string>()
    let path = `/v2/a/referrers/${manifest}?n=1000`
    while (path !== '') {
      const reply = await admin.ask('GET', path)
      assert.equal(reply.status, 200)
      assert.ok(reply.body.length < 5 * 1024 * 1024, `${reply.body.length} bytes`)
      const { manifests } = JSON.parse(reply.body.toString('utf8')) as { manifests: { digest: string }[] }
      for (const { digest } of manifests) found.add(digest)
      path = /<([^>]+)>; rel="next"/.exec(String(reply.headers.link ?? ''))?.[1] ?? ''
    }
    assert.deepEqual(found, pushed)
  })

  test('CVE-2011-3192 › a Range of a thousand parts is no thousand answers', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const { blob, blobBytes } = await fill(admin, 'a', Buffer.alloc(100_000, 7), 'v1', '')
    for (const range of [
      `bytes=${'0-,'.repeat(3000)}0-`,
      `bytes=${Array.from({ length: 1300 }, (_, at) => `5-${at}`)}`,
    ]) {
      const reply = await admin.ask('GET', `/v2/a/blobs/${blob}`, { headers: { range } })
      assert.equal(reply.status, 200)
      assert.equal(reply.body.length, blobBytes.length)
    }
  })
})

suite('tokens', () => {
  test('CVE-2025-24976, CVE-2018-0114, CVE-2015-9235, CVE-2016-5431 › only our own key makes a token good', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    let visits = 0
    const stranger = createServer((socket) => {
      visits++
      socket.destroy()
    })
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve))
    context.after(() => stranger.close())
    const url = `http://127.0.0.1:${(stranger.address() as { port: number }).port}/keys.json`
    const good = await fetchToken(admin, app.host, ['repository:a:pull'])
    const header = decodePart(good, 0)
    const claims = {
      ...decodePart(good, 1),
      access: [{ type: 'repository', name: '*', actions: ['*', 'pull', 'push'] }],
    }
    const jwk = strangersPublicKey()
    const own = (changes: object) => signed({ ...header, ...changes }, claims, strangersPrivateKey)
    const forged: Readonly<Record<string, string>> = {
      'alg none': signed({ ...header, alg: 'none' }, claims, undefined),
      'alg NoNe': signed({ ...header, alg: 'NoNe' }, claims, undefined),
      'HS256 with an empty secret': signed({ ...header, alg: 'HS256' }, claims, ''),
      'HS256 with the kid': signed({ ...header, alg: 'HS256' }, claims, String(header.kid)),
      "a stranger's key under our kid": own({}),
      'jwk in the header': own({ jwk }),
      'jwk whose kid is ours': own({ jwk: { ...jwk, kid: header.kid } }),
      'jwk without a kid': own({ jwk, kid: undefined }),
      jku: own({ jku: url }),
      'jku without a kid': own({ jku: url, kid: undefined }),
      x5u: own({ x5u: url, kid: undefined }),
      x5c: own({ x5c: ['MIIB'], kid: undefined }),
      'kid is a URL': own({ kid: url }),
      'kid is a path': own({ kid: '../../../../dev/null' }),
      'kid is SQL': own({ kid: "x' UNION SELECT 1 --" }),
      'kid is __proto__': own({ kid: '__proto__' }),
      'crit b64': own({ crit: ['b64'], b64: false }),
      'crit unknown': own({ crit: ['x'], x: 1 }),
      'our signature on other claims': `${good.split('.')[0]}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${good.split('.')[2]}`,
    }
    for (const [title, token] of Object.entries(forged)) {
      assertRefused(await admin.as(bearer(token)).ask('GET', '/v2/a/manifests/v1'), 401, 'UNAUTHORIZED', title)
    }
    assert.equal((await admin.as(bearer(good)).ask('GET', '/v2/a/manifests/v1')).status, 200)
    assert.equal(visits, 0, 'the server fetched a key from an address in a token')
  })

  test('a token is good for one registry, one kind of use, and never for more than what it was made from', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    await app.registries.createRegistry('other', testSettings)
    const good = await fetchToken(admin, app.host, ['repository:a:pull', 'registry:catalog:*'])
    const other = { host: `other.localhost:${app.port}` }
    assertRefused(await admin.as(bearer(good)).ask('GET', '/v2/', { headers: other }), 401, 'UNAUTHORIZED', 'elsewhere')
    const narrow = admin.as(basic(nullGuid, await fetchToken(admin, app.host, ['repository:a:pull'])))
    const wishes = ['repository:*:*', 'repository:a:*', 'repository:b:pull', 'registry:catalog:*', 'repository:a:push']
    for (const wish of wishes) {
      const { access } = decodePart(await fetchToken(narrow, app.host, [wish]), 1) as {
        access: { name: string; actions: string[] }[]
      }
      assert.ok(
        access.every(
          ({ name, actions }) =>
            name === 'a' && actions.every((action) => action === 'pull' || action === 'metadata_read'),
        ),
        wish,
      )
    }
    const form = Buffer.from(`grant_type=refresh_token&refresh_token=${good}`)
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    assertRefused(
      await admin.ask('POST', '/oauth2/token', { body: form, headers }),
      401,
      'UNAUTHORIZED',
      'as a refresh token',
    )
  })

  test('CVE-2020-29662 › the catalog needs the right to read it, also where everybody may pull', async (context) => {
    await using app = await startTestApp({ anonymousPullEnabled: true })
    const admin = adminOf(app, context)
    await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const raw = await fetch(
      `http://127.0.0.1:${app.port}/oauth2/token?scope=registry:catalog:*&scope=repository:a:pull`,
    )
    const { access_token: anonymous } = (await raw.json()) as { access_token: string }
    const scoped = await fetchToken(admin, app.host, ['repository:a:pull', 'repository:*:pull'])
    for (const token of [anonymous, scoped]) {
      assertRefused(await admin.as(bearer(token)).ask('GET', '/v2/_catalog'), 401, 'UNAUTHORIZED', 'catalog')
    }
    assert.equal((await fetch(`http://127.0.0.1:${app.port}/v2/_catalog`)).status, 401)
  })
})

suite('what is not there, and what is not yours', () => {
  test('CVE-2019-19030 › a repository that one may not read and one that does not exist look alike', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const b = await fill(admin, 'secret/b', Buffer.from('secret'), 'v1', '')
    const mine = await clientFor(app, admin, 'mine')
    for (const [method, tail] of [
      ['GET', 'manifests/v1'],
      ['GET', `blobs/${b.blob}`],
      ['GET', 'tags/list'],
      ['POST', 'blobs/uploads/'],
    ] as const) {
      const [there, nowhere] = [
        await mine.ask(method, `/v2/secret/b/${tail}`),
        await mine.ask(method, `/v2/secret/c/${tail}`),
      ]
      assert.deepEqual(shape(there, 'secret/b'), shape(nowhere, 'secret/c'), tail)
    }
  })

  test('mounting › without the right to read the source, an existing blob and an invented one look alike', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const b = await fill(admin, 'secret/b', Buffer.from('secret'), 'v1', '')
    const mine = await clientFor(app, admin, 'mine')
    const invented = sha256(Buffer.from('nobody has this'))
    for (const from of ['&from=secret/b', '', '&from=nowhere']) {
      const there = await mine.ask('POST', `/v2/mine/blobs/uploads/?mount=${b.blob}${from}`)
      const nowhere = await mine.ask('POST', `/v2/mine/blobs/uploads/?mount=${invented}${from}`)
      assert.equal(there.status, 202)
      assert.deepEqual(shape(there), shape(nowhere), from)
    }
    for (const path of ['blobs', 'manifests', 'referrers']) {
      const there = await mine.ask('GET', `/v2/mine/${path}/${b.blob}`)
      const nowhere = await mine.ask('GET', `/v2/mine/${path}/${invented}`)
      assert.deepEqual(shape(there, b.blob), shape(nowhere, invented), path)
    }
  })

  test('upload sessions › belong to their repository and their registry', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    await app.registries.createRegistry('other', testSettings)
    const [password] = await app.registries.listPasswords('other')
    const stranger = admin.as(basic('other', password?.value ?? ''))
    const host = { host: `other.localhost:${app.port}` }
    const { headers } = await admin.ask('POST', '/v2/a/blobs/uploads/')
    const location = String(headers.location)
    const elsewhere = location.replace('/v2/a/', '/v2/b/')
    const digest = sha256(Buffer.from('x'))
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      const body = method === 'PATCH' || method === 'PUT' ? { body: Buffer.from('x') } : {}
      const query = method === 'PUT' ? `?digest=${digest}` : ''
      assert.equal(
        (await admin.ask(method, `${elsewhere}${query}`, body)).status,
        404,
        `${method} in another repository`,
      )
      assert.equal(
        (await stranger.ask(method, `${location}${query}`, { ...body, headers: host })).status,
        404,
        `${method} in another registry`,
      )
    }
    const { status, headers: found } = await admin.ask('GET', location)
    assert.deepEqual([status, found.range], [204, '0-0'])
  })

  test('a deleted blob › does not come back by its digest alone', async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const bytes = Buffer.from('deleted, but still on the disk')
    const digest = await pushBlob(admin, 'a', bytes)
    assert.equal((await admin.ask('DELETE', `/v2/a/blobs/${digest}`)).status, 202)
    await assertNotReachable(admin, 'a', digest, bytes.length)
  })

  test("another repository's blob › is not linked by an upload that has none of its bytes", async (context) => {
    await using app = await startTestApp()
    const admin = adminOf(app, context)
    const bytes = Buffer.from('secret')
    const digest = await pushBlob(admin, 'secret/b', bytes)
    await assertNotReachable(await clientFor(app, admin, 'mine'), 'mine', digest, bytes.length)
  })

  test("another repository's blob › is not linked by the retry of an upload whose end got lost", async (context) => {
    // The bytes of a session have become a blob, but its rows were never written, as after a crash at that moment.
    const store = openMemoryBlobStore()
    let crash = false
    const blobs = new Proxy(store, {
      get(target, property) {
        const value = Reflect.get(target, property) as unknown
        if (typeof value !== 'function') return value
        if (property !== 'commit') return value.bind(target) as unknown
        return async (...parameters: unknown[]) => {
          await (value as (...given: unknown[]) => Promise<void>).apply(target, parameters)
          if (crash) throw new Error('a crash right after the commit')
        }
      },
    })
    await using app = await startTestApp({}, { blobs })
    const admin = adminOf(app, context)
    const secret = Buffer.from('secret')
    const digest = await pushBlob(admin, 'secret/b', secret)
    const mine = await clientFor(app, admin, 'mine')
    const own = Buffer.from('common')
    assert.equal(own.length, secret.length)
    const losesItsEnd = async (bytes: Buffer) => {
      const session = String((await mine.ask('POST', '/v2/mine/blobs/uploads/')).headers.location)
      assert.equal((await mine.ask('PATCH', session, { body: bytes })).status, 202)
      crash = true
      assert.equal((await mine.ask('PUT', `${session}?digest=${sha256(bytes)}`)).status, 500)
      crash = false
      return session
    }
    const session = await losesItsEnd(own)
    for (const wanted of [digest, digest, sha256(own), digest]) {
      const reply = await mine.ask('PUT', `${session}?digest=${wanted}`)
      assert.ok(reply.status === 404 || (reply.status === 201 && wanted !== digest), `${wanted}: ${reply.status}`)
    }
    assert.equal((await mine.ask('GET', `/v2/mine/blobs/${digest}`)).status, 404)
    const other = Buffer.from('other bytes')
    const retried = await mine.ask('PUT', `${await losesItsEnd(other)}?digest=${sha256(other)}`)
    assert.equal(retried.status, 201, 'an honest retry')
  })
})

suite('digests and names that are paths', () => {
  test('CVE-2024-3727, CVE-2014-9358 › no digest, session or name leads out of the data folder or to another algorithm', async (context) => {
    const parent = await mkdtemp(join(tmpdir(), 'berth-weakness-'))
    context.after(() => rm(parent, { recursive: true, force: true }))
    await mkdir(join(parent, 'outside'))
    await writeFile(join(parent, 'outside', 'canary'), 'outside-canary')
    const blobs = await openFilesystemBlobStore({ folder: join(parent, 'blobs') })
    await using app = await startTestApp({}, { blobs })
    const admin = adminOf(app, context)
    const { blob } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const hex = blob.slice('sha256:'.length)
    const odd = [
      'sha256:../../outside/canary',
      'sha256:..%2f..%2foutside%2fcanary',
      'sha256:%2e%2e%2f%2e%2e%2foutside%2fcanary',
      `sha256:${hex}%00`,
      `sha256:${hex}/../${hex}`,
      `sha256:${hex.toUpperCase()}`,
      `SHA256:${hex}`,
      `sha512:${hex}`,
      `sha384:${hex}`,
      `sha256+x:${hex}`,
      `md5:${hex.slice(0, 32)}`,
      `sha256:${hex.slice(0, 63)}`,
      `sha256:${hex}0`,
      `sha256:%0a${hex}`,
      `sha256::${hex}`,
      `sha256:${'..'.repeat(32)}`,
    ]
    const before = await readdir(parent, { recursive: true })
    const { headers } = await admin.ask('POST', '/v2/a/blobs/uploads/')
    await admin.ask('DELETE', String(headers.location))
    for (const digest of odd) {
      const requests: readonly (readonly [string, string, boolean])[] = [
        ['GET', `/v2/a/blobs/${digest}`, false],
        ['DELETE', `/v2/a/blobs/${digest}`, false],
        ['GET', `/v2/a/manifests/${digest}`, false],
        ['PUT', `/v2/a/manifests/${digest}`, true],
        ['GET', `/v2/a/referrers/${digest}`, false],
        ['POST', `/v2/a/blobs/uploads/?digest=${digest}`, true],
        ['GET', `/v2/a/blobs/uploads/${digest}`, false],
        ['PATCH', `/v2/a/blobs/uploads/${digest}`, true],
        ['DELETE', `/v2/a/blobs/uploads/${digest}`, false],
        ['GET', `/v2/${digest}/manifests/v1`, false],
      ]
      for (const [method, path, hasBody] of requests) {
        const reply = await admin.ask(method, path, hasBody ? { body: Buffer.from('outside-canary') } : {})
        assert.ok(reply.status === 400 || reply.status === 404, `${method} ${path}: ${reply.status}`)
        assert.ok(!reply.body.includes('outside-canary'), `${method} ${path}`)
      }
    }
    assert.deepEqual((await readdir(parent, { recursive: true })).sort(), before.sort())
  })
})

suite('heads and framing', () => {
  test('CWE-113 › nothing that a client sends ends a header of the answer', async (context) => {
    await using app = await startListening(context)
    const admin = createClient(app.port, app.admin)
    context.after(() => admin.close())
    const { manifest, manifestBytes } = await fill(admin, 'a', Buffer.from('layer'), 'v1', '')
    const injection = '%0d%0aX-Injected:%201'
    const { headers } = await admin.ask('POST', '/v2/a/blobs/uploads/')
    const type = `Content-Type: ${ociManifest}\r\nContent-Length: ${manifestBytes.length}`
    const heads = [
      `GET /v2/a${injection}/manifests/v1 HTTP/1.1`,
      `PUT /v2/a/manifests/v1${injection} HTTP/1.1\r\n${type}`,
      `PUT /v2/a/manifests/${manifest}?tag=x${injection} HTTP/1.1\r\n${type}`,
      `GET /v2/a/tags/list?n=1&last=${injection} HTTP/1.1`,
      `GET /v2/a/referrers/${manifest}?n=0&artifactType=x${injection} HTTP/1.1`,
      `PATCH ${headers.location}${injection} HTTP/1.1\r\nContent-Range: 7-8\r\nContent-Length: 0`,
      'GET /v2/ HTTP/1.1\r\nx-ms-client-request-id: a\rX-Injected: 1',
      'GET /v2/ HTTP/1.1\r\nx-ms-client-request-id: a\u0085X-Injected: 1',
      'GET /v2/ HTTP/1.1\r\nx-ms-client-request-id: a\nX-Injected: 1',
    ]
    for (const head of heads) {
      const authorization = head.includes('PUT') || head.includes('PATCH') ? `Authorization: ${app.admin}\r\n` : ''
      const bytes = Buffer.from(`${head}\r\nHost: localhost:${app.port}\r\n${authorization}\r\n`, 'latin1')
      const method = head.split(' ')[0] ?? ''
      const outcome = await exchange({ port: app.port }, [bytes, manifestBytes], { method, hangUpMs: 2000 })
      assert.equal(outcome.trouble, undefined, head)
      for (const answer of outcome.answers) assert.equal(headerOf(answer, 'x-injected'), undefined, head)
    }
  })

  test('RFC 9112 §3.2 › a challenge names only a host that the request has, and that looks like one', async (context) => {
    await using app = await startListening(context)
    const hosts = [
      'evil.example"',
      'a b',
      `localhost:${app.port}\r\nHost: evil.example`,
      'localhost,evil.example',
      'x@localhost',
      'localhost/evil',
    ]
    for (const host of hosts) {
      const bytes = Buffer.from(
        `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-Host: evil.example\r\n\r\n`,
        'latin1',
      )
      const { answers } = await exchange({ port: app.port }, [bytes], { method: 'GET' })
      assert.equal(answers[0]?.status, 400, host)
      assert.equal(headerOf(answers[0]!, 'www-authenticate'), undefined, host)
    }
  })

  test('CVE-2022-32213, -32214, -32215, CVE-2022-35256 › a request with two framings is refused, and what follows it is never read', async (context) => {
    await using app = await startListening(context)
    const smuggled = `GET /healthz HTTP/1.1\r\nHost: localhost:${app.port}\r\n\r\n`
    const framings = [
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: chunked\r\nContent-Length: 5',
      'Content-Length: 5\r\nContent-Length: 6',
      'Content-Length: 5, 5',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: x',
      'Transfer-Encoding: chunkedchunked',
      'Transfer-Encoding\t: chunked',
      'Transfer-Encoding : chunked',
      'X: y\r\n Transfer-Encoding: chunked',
      'Content-Length: +5',
      'Content-Length: 0x5',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
      'Content-Length: \r\nTransfer-Encoding: chunked',
    ]
    for (const framing of framings) {
      const head = `POST /oauth2/token HTTP/1.1\r\nHost: localhost:${app.port}\r\n${framing}\r\n\r\n`
      const options = { method: 'POST', untilClosed: true, patienceMs: 5000 }
      const { answers, received } = await exchange(
        { port: app.port },
        [Buffer.from(`${head}0\r\n\r\n${smuggled}`)],
        options,
      )
      assert.equal(answers.length, 1, `${framing}: ${received.toString('latin1').slice(0, 500)}`)
      assert.equal(answers[0]?.status, 400, framing)
      assert.equal(readAnswers([received], 'POST', true).trouble, undefined)
    }
  })

  test('slow bodies › a head or a body that stands still ends in 408, 400 or a closed connection while others are served', async (context) => {
    const timeouts = { firstByteMs: 300, headersMs: 300, idleMs: 300 }
    await using app = await startListening(context, timeouts)
    const host = `Host: localhost:${app.port}\r\nAuthorization: ${app.admin}\r\n`
    const admin = createClient(app.port, app.admin)
    context.after(() => admin.close())
    const { headers } = await admin.ask('POST', '/v2/a/blobs/uploads/')
    const stopped: readonly (readonly [string, string])[] = [
      ['nothing', ''],
      ['half a line', 'GET /v2'],
      ['half a head', `GET /v2/ HTTP/1.1\r\n${host}`],
      ['half a manifest', `PUT /v2/a/manifests/v1 HTTP/1.1\r\n${host}Content-Length: 100\r\n\r\n{`],
      [
        'half a form',
        `POST /oauth2/token HTTP/1.1\r\n${host}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na=`,
      ],
      ['half a chunk', `PATCH ${headers.location} HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n5\r\nab`],
      [
        'half a blob',
        `POST /v2/a/blobs/uploads/?digest=${sha256(Buffer.from('x'))} HTTP/1.1\r\n${host}Content-Length: 100\r\n\r\nab`,
      ],
    ]
    const all = stopped.flatMap((entry) => Array.from({ length: 10 }, () => entry))
    const ended = Promise.all(
      all.map(async ([title, text]) => {
        const options = { method: 'GET', untilClosed: true, patienceMs: 10_000 }
        const { answers, trouble } = await exchange({ port: app.port }, text === '' ? [] : [Buffer.from(text)], options)
        assert.equal(trouble, undefined, title)
        for (const { status } of answers) assert.ok(status === 408 || status === 400, `${title}: ${status}`)
      }),
    )
    for (let times = 0; times < 20; times++) assert.equal((await admin.ask('GET', '/v2/')).status, 200)
    await ended
  })
})

/** The test app behind the real listener, whose parser and time limits are what some tests are about. */
async function startListening(
  context: { after: (work: () => Promise<unknown>) => void },
  timeouts: { headersMs?: number } = {},
) {
  const app = await startTestApp()
  const listener = createListener({ plain: 'only', handler: app.handler.handle, timeouts })
  const { port } = await listener.listen('127.0.0.1', 0)
  context.after(() => listener.drain(0))
  return { ...app, port, [Symbol.asyncDispose]: () => app[Symbol.asyncDispose]() }
}

/** All that a client can see, but for what differs from request to request. names: what was asked for. */
function shape({ status, headers, body }: Reply, ...names: readonly string[]) {
  const mask = (text: string) =>
    names
      .reduce((masked, name) => masked.replaceAll(name, '<asked>'), text)
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uuid>')
  const visible = Object.entries(headers).filter(([name]) => name !== 'date')
  return { status, body: mask(body.toString('utf8')), headers: mask(JSON.stringify(visible)) }
}

/** Every way to a blob that does not go through its bytes. size: its length, known to whoever tries. */
async function assertNotReachable(client: Client, repository: string, digest: string, size: number): Promise<void> {
  const base = `/v2/${repository}`
  const begin = async () => String((await client.ask('POST', `${base}/blobs/uploads/`)).headers.location)
  const attempts: readonly (readonly [string, () => Promise<Reply>])[] = [
    ['mount', () => client.ask('POST', `${base}/blobs/uploads/?mount=${digest}`)],
    ['mount from itself', () => client.ask('POST', `${base}/blobs/uploads/?mount=${digest}&from=${repository}`)],
    ['mount from elsewhere', () => client.ask('POST', `${base}/blobs/uploads/?mount=${digest}&from=secret/b`)],
    ['one POST without bytes', () => client.ask('POST', `${base}/blobs/uploads/?digest=${digest}`)],
    [
      'one POST of as many bytes',
      () => client.ask('POST', `${base}/blobs/uploads/?digest=${digest}`, { body: Buffer.alloc(size) }),
    ],
    ['an end without bytes', async () => client.ask('PUT', `${await begin()}?digest=${digest}`)],
    [
      'an end of as many bytes',
      async () => client.ask('PUT', `${await begin()}?digest=${digest}`, { body: Buffer.alloc(size) }),
    ],
    [
      'an end twice',
      async () => {
        const session = await begin()
        await client.ask('PATCH', session, { body: Buffer.alloc(size) })
        await client.ask('PUT', `${session}?digest=${digest}`)
        return client.ask('PUT', `${session}?digest=${digest}`)
      },
    ],
    [
      'an end after a cancel',
      async () => {
        const session = await begin()
        await client.ask('PATCH', session, { body: Buffer.alloc(size) })
        await client.ask('DELETE', session)
        return client.ask('PUT', `${session}?digest=${digest}`)
      },
    ],
  ]
  for (const [title, attempt] of attempts) {
    assert.notEqual((await attempt()).status, 201, title)
    assert.equal((await client.ask('GET', `${base}/blobs/${digest}`)).status, 404, title)
  }
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest, size }
  const body = JSON.stringify({ schemaVersion: 2, mediaType: ociManifest, config, layers: [] })
  assertRefused(await put(client, `${base}/manifests/x`, body, ociManifest), 400, 'MANIFEST_BLOB_UNKNOWN', 'a manifest')
}
