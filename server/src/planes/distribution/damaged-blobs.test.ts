/** What clients see of a blob whose bytes the disk has changed. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { hexOf } from '@berth/oci'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { dayMs } from '../../../test/core.ts'
import { aBlob, anImage, type Content, pushBlob, pushManifest, putManifest } from '../../../test/images.ts'
import { errorOf } from '../../../test/wire.ts'
import { openFilesystemBlobStore } from '../../backends/blobs/filesystem.ts'

interface DamagedApp extends TestApp {
  flip(blob: Content): Promise<void>
  /** What a check says, by kind. */
  fsck(): Promise<string[]>
}

async function startOnFolder(): Promise<DamagedApp & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-damaged-'))
  const app = await startTestApp({}, { blobs: await openFilesystemBlobStore({ folder }) })
  return {
    ...app,
    async flip({ digest }) {
      const file = join(folder, 'sha256', hexOf(digest).slice(0, 2), hexOf(digest))
      const bytes = await readFile(file)
      bytes[100] = (bytes[100] ?? 0) ^ 1
      await writeFile(file, bytes)
    },
    async fsck() {
      const findings = await Array.fromAsync(app.integrity.check({ uploadExpiryMs: dayMs }))
      return findings.map(({ kind, name }) => `${kind} ${name}`)
    },
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

const path = ({ digest }: Content) => `/v2/team/app/blobs/${digest}`

/** As a client does it that notices a connection which ends early, before or after the answer began. */
async function download(app: TestApp, blob: Content): Promise<{ status: number; bytes: Buffer; cut: boolean }> {
  const chunks: Uint8Array[] = []
  let status = 0
  let cut = false
  try {
    const response = await app.fetch(path(blob))
    status = response.status
    for await (const chunk of response.body ?? []) chunks.push(chunk)
  } catch {
    cut = true
  }
  return { status, bytes: Buffer.concat(chunks), cut }
}

async function assertUnknown(app: TestApp, blob: Content): Promise<void> {
  const answer = await app.fetch(path(blob))
  await errorOf(answer, 404, 'BLOB_UNKNOWN')
  assert.equal((await app.fetch(path(blob), { method: 'HEAD' })).status, 404)
}

suite('a blob with a flipped bit', () => {
  test('a large one › the download is cut before its end, then it is unknown; pushed again, it is right', async () => {
    await using app = await startOnFolder()
    const blob = aBlob(randomBytes(1_500_000))
    await pushBlob(app, 'team/app', blob)
    await app.flip(blob)
    assert.deepEqual(await app.fsck(), [`damaged blob ${blob.digest}`])

    const { status, bytes, cut } = await download(app, blob)
    assert.deepEqual([status, cut], [200, true])
    assert.ok(bytes.length < blob.bytes.length, `${bytes.length} bytes`)

    await assertUnknown(app, blob)
    assert.deepEqual(await app.fsck(), [], 'nobody needs it')

    await pushBlob(app, 'team/app', blob)
    const again = await download(app, blob)
    assert.ok(!again.cut && again.bytes.equals(blob.bytes))
    assert.equal((await app.fetch(path(blob), { method: 'HEAD' })).status, 200)
    assert.deepEqual(await app.fsck(), [])
  })

  test('a small one › is not sent at all', async () => {
    await using app = await startOnFolder()
    const blob = aBlob(randomBytes(5_000))
    await pushBlob(app, 'team/app', blob)
    await app.flip(blob)
    assert.equal((await download(app, blob)).bytes.includes(blob.bytes.subarray(200, 300)), false)
    await assertUnknown(app, blob)
    await pushBlob(app, 'team/app', blob)
    assert.ok((await download(app, blob)).bytes.equals(blob.bytes))
    assert.deepEqual(await app.fsck(), [])
  })

  test('an image with it › cannot be pushed by its manifest alone, until the layer is pushed again', async () => {
    await using app = await startOnFolder()
    const layer = aBlob(randomBytes(200_000))
    const { config, manifest } = anImage({
      fields: { layers: [{ mediaType: layer.mediaType, digest: layer.digest, size: layer.bytes.length }] },
    })
    for (const blob of [config, layer]) await pushBlob(app, 'team/app', blob)
    await pushManifest(app, 'team/app', manifest, 'v1')
    await app.flip(layer)
    assert.equal((await download(app, layer)).cut, true)
    assert.deepEqual(await app.fsck(), [`missing content ${manifest.digest}`])
    const refused = await putManifest(app, 'team/app', manifest, 'v2')
    await errorOf(refused, 400, 'MANIFEST_BLOB_UNKNOWN')
    const mounted = await app.fetch(`/v2/team/other/blobs/uploads/?mount=${layer.digest}&from=team/app`, {
      method: 'POST',
    })
    assert.equal(mounted.status, 202, 'an upload, and no mount')
    await pushBlob(app, 'team/other', layer)
    await pushManifest(app, 'team/app', manifest, 'v2')
    assert.deepEqual(await app.fsck(), [])
  })
})
