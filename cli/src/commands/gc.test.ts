import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, suite, type TestContext, test } from 'node:test'
import { digestOf, hexOf } from '@berth/oci'
import { type Core, createCore } from '@berth/server/app.ts'
import type { Config } from '@berth/server/config/config.ts'
import { keysOf } from '@berth/server/start/prepare.ts'
import { prepareFolder, run } from '../../test/run.ts'

let data: string
let core: Core
let config: Config
beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'berth-gc-'))
  ;({ config } = await prepareFolder(data))
  // As a running server has it.
  core = await createCore(config, await keysOf(config))
})
afterEach(async () => {
  await core.dispose()
  rmSync(data, { recursive: true })
})

const gc = (t: TestContext, ...flags: string[]) => run(t, ['gc', '--data', data, ...flags])
const place = { registry: 'berth', repository: 'team/app' }
const content = Buffer.from('a blob that no manifest names')
const digest = digestOf('sha256', content)

async function pushBlob(): Promise<void> {
  await core.registry.pushBlob(
    place,
    digest,
    (async function* () {
      yield content
    })(),
  )
  await new Promise((resolve) => setTimeout(resolve, 2)) // it must be older than "now"
}

const isThere = () =>
  core.registry.getBlob(place, digest).then(
    () => true,
    () => false,
  )

suite('berth gc', () => {
  test('on a store without garbage › says so', async (t) => {
    assert.deepEqual(await gc(t), { code: 0, stdout: 'There was nothing to remove.\n', stderr: '' })
    assert.equal((await gc(t, '--dry-run')).stdout, 'Nothing would be removed.\n')
  })

  test('without the secret key › says in one sentence what is missing', async (t) => {
    rmSync(config.secretKey)
    const { code, stdout, stderr } = await gc(t)
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^berth: .*secret\.key cannot be read \(ENOENT\): [^\n]+\n$/)
  })

  test('where a file cannot be removed › all else goes and is told, then why that one stays; exit code 1', async (t) => {
    await pushBlob()
    const hex = hexOf(digest)
    const file = join(data, 'blobs', 'sha256', hex.slice(0, 2), hex)
    rmSync(file)
    mkdirSync(file)
    const { code, stdout, stderr } = await gc(t, '--grace', '0s')
    assert.equal(code, 1)
    assert.match(stdout, /^unused link +1 /m)
    assert.match(stderr, /^berth: some bytes could not be removed, and stay: EISDIR: [^\n]+\n$/)
    assert.ok(stderr.includes(file))
    rmSync(file, { recursive: true })
    assert.equal((await gc(t, '--grace', '0s')).code, 0)
  })

  test('tells by reason what goes, why, and how many bytes; a dry run the same, and it stays', async (t) => {
    await pushBlob()
    const table = (heading: string) => [
      `${heading.padEnd(16)}  number  bytes  because`,
      'unused link            1    0 B  no manifest of the repository has named the blob for 0s',
      'unlinked blob          1   29 B  no repository has had it for 0s',
      'in all                 2   29 B',
      '',
    ]
    const told = await gc(t, '--dry-run', '--grace', '0s')
    assert.deepEqual(told.stdout.split('\n'), table('would be removed'))
    assert.equal(await isThere(), true)
    const done = await gc(t, '--grace', '0s')
    assert.deepEqual(
      done.stdout.split('\n').map((line) => line.replace(/ +/g, ' ')),
      table('removed').map((line) => line.replace(/ +/g, ' ')),
    )
    assert.equal(await isThere(), false)
    assert.equal((await gc(t, '--grace', '0s')).stdout, 'There was nothing to remove.\n')
  })

  test('keeps to the grace that the server was last started with', async (t) => {
    await pushBlob()
    assert.equal((await gc(t)).stdout, 'There was nothing to remove.\n')
    const started = JSON.parse(readFileSync(join(data, 'last-start.json'), 'utf8'))
    assert.deepEqual([started['gc-grace'], started['upload-expiry']], ['1d', '7d'])
  })

  test('--verbose › every single thing; --json › one object a line, the sums at the end', async (t) => {
    await pushBlob()
    const lines = (await gc(t, '--dry-run', '--grace', '0s', '--verbose')).stdout.split('\n')
    assert.match(lines[0] ?? '', new RegExp(`^unused link: ${digest} in berth/team/app, since 20\\d\\d-.*Z$`))
    assert.match(lines[1] ?? '', new RegExp(`^unlinked blob: ${digest}, since 20\\d\\d-.*Z, 29 B$`))
    const said = (await gc(t, '--grace', '0s', '--json', '--verbose')).stdout.trim().split('\n')
    const [link, blob, sums] = said.map((line) => JSON.parse(line))
    assert.deepEqual(
      [link.reason, link.repository, blob.name, blob.bytes],
      ['unused link', 'berth/team/app', digest, 29],
    )
    assert.deepEqual(sums, {
      dryRun: false,
      entries: 2,
      bytes: 29,
      reasons: [
        { reason: 'unused link', entries: 1, bytes: 0 },
        { reason: 'unlinked blob', entries: 1, bytes: 29 },
      ],
    })
  })

  test('removes untagged manifests only when it is asked to', async (t) => {
    await pushBlob()
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const named = { mediaType: 'text/plain', digest, size: content.length }
    const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: named, layers: [named] }))
    const pushed = await core.registry.putManifest(place, { tag: 'v1' }, mediaType, manifest)
    await core.registry.deleteManifest(place, { tag: 'v1' })
    await new Promise((resolve) => setTimeout(resolve, 2))
    assert.equal((await gc(t, '--grace', '0s')).stdout, 'There was nothing to remove.\n')
    assert.equal((await gc(t, '--untagged')).stdout, 'There was nothing to remove.\n', 'not within the grace')
    const { stdout } = await gc(t, '--untagged', '--older-than', '0s')
    assert.match(stdout, /^untagged manifest +1 +\d+ B +no tag, no index and no subject for 0s$/m)
    await assert.rejects(core.registry.getManifest(place, { digest: pushed.digest }))
  })

  test('--upload-expiry › abandoned uploads go after it; else after that of the server', async (t) => {
    const { session } = await core.registry.startUpload(place)
    await core.registry.appendToUpload(place, session, { bytes: Readable.from([Buffer.from('five!')]) })
    const updated_at = new Date(Date.now() - 120_000).toISOString()
    await core.db.write((tables) => tables.updateTable('upload_sessions').set({ updated_at }).execute())
    assert.equal((await gc(t)).stdout, 'There was nothing to remove.\n')
    const { code, stdout } = await gc(t, '--upload-expiry', '1m')
    assert.equal(code, 0)
    assert.match(stdout, /^abandoned upload +1 +5 B +no sign of life for 1m$/m)
  })

  test('a wrong duration, or --older-than alone › a sentence, exit code 2', async (t) => {
    const wrong = await gc(t, '--grace', '1 day')
    const stderr = 'berth: --grace: must be a duration such as 30s, 10m, 24h or 7d\n'
    assert.deepEqual(wrong, { code: 2, stdout: '', stderr })
    const alone = await gc(t, '--older-than', '1d')
    assert.deepEqual(alone, { code: 2, stdout: '', stderr: 'berth: --older-than: needs --untagged too\n' })
  })
})
