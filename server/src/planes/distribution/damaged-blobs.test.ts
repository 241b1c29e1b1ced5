/** What clients see of a blob whose bytes the disk has changed. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
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
  fileOf(blob: Content): string
  flip(blob: Content): Promise<void>
  /** What the log has at the level of an error. */
  readonly logged: { readonly fault?: string; readonly reason?: string }[]
  /** What a check says, by kind. */
  fsck(): Promise<string[]>
}

async function startOnFolder(): Promise<DamagedApp & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-damaged-'))
  const logged: object[] = []
  const log = { debug() {}, info() {}, warn() {}, error: (facts: object) => void logged.push(facts) }
  const app = await startTestApp({}, { blobs: await openFilesystemBlobStore({ folder }), log })
  const fileOf = ({ digest }: Content) => join(folder, 'sha256', hexOf(digest).slice(0, 2), hexOf(digest))
  return {
    ...app,
    logged,
    fileOf,
    async flip(blob) {
      const bytes = await readFile(fileOf(blob))
      bytes[100] = (bytes[100] ?? 0) ^ 1
      await writeFile(fileOf(blob), bytes)
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

function assertLogged({ logged }: DamagedApp, reason: RegExp): void {
  const [line, ...more] = logged
  assert.equal(line?.fault, 'blobDamaged')
  assert.match(line.reason ?? '', reason)
  assert.deepEqual(more, [])
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
    assertLogged(app, /^its bytes are sha256:/)

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
    await assertUnknown(app, blob)
    assertLogged(app, /^its bytes are sha256:/)
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

suite('a blob whose file', () => {
  for (const size of [5_000, 200_000]) {
    for (const [what, harm, reason] of [
      ['was cut short', (file: string) => truncate(file, 3_000), new RegExp(`^it has 3000 of ${size} bytes$`)],
      ['is gone', (file: string) => rm(file), /^its bytes are gone$/],
    ] as const) {
      test(`${what}, of ${size} bytes › is unknown, and the log says why; pushed again, it is right`, async () => {
        await using app = await startOnFolder()
        const blob = aBlob(randomBytes(size))
        await pushBlob(app, 'team/app', blob)
        await harm(app.fileOf(blob))
        await assertUnknown(app, blob)
        assertLogged(app, reason)
        await pushBlob(app, 'team/app', blob)
        assert.ok((await download(app, blob)).bytes.equals(blob.bytes))
        assert.equal((await app.fetch(path(blob), { method: 'HEAD' })).status, 200)
        assert.deepEqual(await app.fsck(), [])
      })
    }
  }

  test('was cut short after it had been proved › is unknown all the same', async () => {
    await using app = await startOnFolder()
    const blob = aBlob(randomBytes(200_000))
    await pushBlob(app, 'team/app', blob)
    assert.equal((await download(app, blob)).cut, false)
    await truncate(app.fileOf(blob), 100_000)
    await assertUnknown(app, blob)
  })

  test('has grown › is sent up to its end', async () => {
    await using app = await startOnFolder()
    for (const blob of [aBlob(''), aBlob('some'), aBlob(randomBytes(200_000))]) {
      await pushBlob(app, 'team/app', blob)
      await appendFile(app.fileOf(blob), 'more')
      assert.ok((await download(app, blob)).bytes.equals(blob.bytes))
    }
  })
})

suite('a part of a blob with a flipped bit', () => {
  const part = (app: TestApp, blob: Content, range: string) => app.fetch(path(blob), { headers: { range } })

  /** In the middle, and far from the ranges that are asked for here. */
  async function startWithFlipped(size: number): Promise<{ app: DamagedApp & AsyncDisposable; blob: Content }> {
    const app = await startOnFolder()
    const blob = aBlob(randomBytes(size))
    await pushBlob(app, 'team/app', blob)
    await app.flip(blob)
    return { app, blob }
  }

  for (const size of [5_000, 200_000]) {
    test(`of ${size} bytes › is not sent, wherever it lies`, async () => {
      const { app, blob } = await startWithFlipped(size)
      await using _ = app
      await errorOf(await part(app, blob, 'bytes=1000-1999'), 404, 'BLOB_UNKNOWN')
      assertLogged(app, /^its bytes are sha256:/)
      await assertUnknown(app, blob)
      await pushBlob(app, 'team/app', blob)
      const answer = await part(app, blob, 'bytes=1000-1999')
      assert.equal(answer.status, 206)
      assert.ok(blob.bytes.subarray(1_000, 2_000).equals(Buffer.from(await answer.arrayBuffer())))
    })
  }

  for (const range of ['bytes=0-', 'bytes=-9999999']) {
    test(`${range}, which is all of it › is cut before its end`, async () => {
      const { app, blob } = await startWithFlipped(9_000_000)
      await using _ = app
      const answer = await part(app, blob, range)
      assert.equal(answer.status, 206)
      await assert.rejects(answer.arrayBuffer())
      await assertUnknown(app, blob)
    })
  }

  test('of more than 8 MiB › is sent as it is stored; the next download of all of it tells', async () => {
    const { app, blob } = await startWithFlipped(9_000_000)
    await using _ = app
    const answer = await part(app, blob, 'bytes=1-199')
    assert.equal(answer.status, 206)
    assert.equal((await answer.arrayBuffer()).byteLength, 199)
    assert.equal((await download(app, blob)).cut, true)
    await assertUnknown(app, blob)
  })

  test('behind the end of a file that was cut short › is unknown', async () => {
    await using app = await startOnFolder()
    const blob = aBlob(randomBytes(9_000_000))
    await pushBlob(app, 'team/app', blob)
    await truncate(app.fileOf(blob), 1_000)
    await errorOf(await part(app, blob, 'bytes=2000-2999'), 404, 'BLOB_UNKNOWN')
    await assertUnknown(app, blob)
  })
})
