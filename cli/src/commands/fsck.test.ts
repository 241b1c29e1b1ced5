import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, type TestContext, test } from 'node:test'
import { digestOf, hexOf } from '@berth/oci'
import { type Core, createCore } from '@berth/server/app.ts'
import { kinds } from '@berth/server/core/registry/integrity/kinds.ts'
import { keysOf } from '@berth/server/start/prepare.ts'
import { prepareFolder, run } from '../../test/run.ts'

let data: string
let core: Core
beforeEach(async () => {
  data = mkdtempSync(join(tmpdir(), 'berth-fsck-'))
  const { config } = await prepareFolder(data)
  // As a running server has it.
  core = await createCore(config, await keysOf(config))
})
afterEach(async () => {
  await core.dispose()
  rmSync(data, { recursive: true })
})

const fsck = (t: TestContext, ...flags: string[]) => run(t, ['fsck', '--data', data, ...flags])
const place = { registry: 'berth', repository: 'team/app' }
const content = Buffer.from('what was pushed')
const digest = digestOf('sha256', content)
const file = () => join(data, 'blobs', 'sha256', hexOf(digest).slice(0, 2), hexOf(digest))
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const named = { mediaType: 'text/plain', digest, size: content.length }
const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: named, layers: [named] }))

async function pushBlob(): Promise<void> {
  const bytes = (async function* () {
    yield content
  })()
  await core.registry.pushBlob(place, digest, bytes)
}

function flip(): void {
  const bytes = readFileSync(file())
  bytes[3] = (bytes[3] ?? 0) ^ 1
  writeFileSync(file(), bytes)
}

suite('berth fsck', () => {
  test('on a store that is whole › says how much it looked at, exit code 0', async (t) => {
    await pushBlob()
    await core.registry.putManifest(place, { tag: 'v1' }, mediaType, manifest)
    assert.deepEqual(await fsck(t), {
      code: 0,
      stdout: 'Looked at 1 blob, 1 manifest, 1 tag, 1 repository and read 351 B: no problems.\n',
      stderr: '',
    })
  })

  test('with a damaged blob › one line says what, where, what it means and what a repair does; exit code 4', async (t) => {
    await pushBlob()
    flip()
    const { code, stdout } = await fsck(t)
    assert.equal(code, 4)
    const actual = digestOf('sha256', readFileSync(file()))
    const { meaning, repair } = kinds['damaged blob']
    assert.deepEqual(stdout.split('\n'), [
      `damaged blob ${digest} in berth/team/app (the bytes are ${actual}; 15 B): ${meaning}; --repair ${repair}`,
      'Looked at 1 blob, 0 manifests, 0 tags, 1 repository and read 15 B: 1 problem, 0 repaired, 1 left.',
      '',
    ])
  })

  test('--repair › exit code 1 where all is repaired, 0 afterwards', async (t) => {
    await pushBlob()
    flip()
    const { code, stdout } = await fsck(t, '--repair')
    assert.equal(code, 1)
    assert.match(stdout, /^damaged blob .*: repaired: it counts as not there until it is pushed again$/m)
    assert.match(stdout, /: 1 problem, 1 repaired, 0 left\.\n$/)
    assert.equal((await fsck(t)).code, 0)
  })

  test('--repair › exit code 4 where somebody must push again, and 0 once that is done', async (t) => {
    await pushBlob()
    await core.registry.putManifest(place, { tag: 'v1' }, mediaType, manifest)
    flip()
    const { code, stdout } = await fsck(t, '--repair')
    assert.equal(code, 4)
    assert.match(
      stdout,
      /^missing content sha256:.* \(config .* \(damaged\), .*; tagged v1; 336 B\): .*; not repaired$/m,
    )
    assert.equal((await fsck(t)).code, 4)
    await pushBlob()
    assert.equal((await fsck(t)).code, 0)
    assert.deepEqual(readFileSync(file()), content)
  })

  test('--quick › reads no blob', async (t) => {
    await pushBlob()
    flip()
    const { code, stdout } = await fsck(t, '--quick')
    assert.deepEqual([code, /and read 0 B: no problems/.test(stdout)], [0, true])
    writeFileSync(file(), 'short')
    assert.equal((await fsck(t, '--quick')).code, 4)
  })

  test('--json › one object a line, the sums at the end', async (t) => {
    await pushBlob()
    flip()
    const lines = (await fsck(t, '--json', '--repair')).stdout.trim().split('\n')
    const [finding, sums] = lines.map((line) => JSON.parse(line))
    assert.deepEqual(
      [finding.kind, finding.name, finding.where, finding.bytes, finding.outcome],
      ['damaged blob', digest, ['berth/team/app'], 15, 'repaired'],
    )
    const { looked, ...counts } = sums
    assert.deepEqual(counts, { bytes: 15, problems: 1, repaired: 1, left: 0, notes: 0 })
    assert.equal(looked.blobs, 1)
    assert.equal(lines.length, 2)
  })

  test('notes are told and change no exit code', async (t) => {
    await pushBlob()
    const { digest: child } = await core.registry.putManifest(place, { tag: 'v1' }, mediaType, manifest)
    const type = 'application/vnd.oci.image.index.v1+json'
    const manifests = [{ mediaType, digest: child, size: manifest.length }]
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, manifests }))
    await core.registry.putManifest(place, { tag: 'all' }, type, index)
    await core.registry.deleteManifest(place, { digest: child })
    const { code, stdout } = await fsck(t, '--repair')
    assert.equal(code, 0)
    assert.match(stdout, /^note: absent children sha256:/)
    assert.match(stdout, /no problems\. 1 note above\.\n$/)
  })

  test('that cannot run › a sentence, exit code 8', async (t) => {
    const empty = mkdtempSync(join(tmpdir(), 'berth-fsck-'))
    try {
      const stderr = `berth: ${empty} is not the data folder of a server; name it with --data\n`
      assert.deepEqual(await run(t, ['fsck', '--data', empty]), { code: 8, stdout: '', stderr })
    } finally {
      rmSync(empty, { recursive: true })
    }
  })

  test('that fails in the middle › says so, and ends with 8 and not with the code of a repair', async (t) => {
    await pushBlob()
    rmSync(join(data, 'blobs', 'uploads'), { recursive: true })
    writeFileSync(join(data, 'blobs', 'uploads'), 'no folder')
    const { code, stderr } = await fsck(t)
    assert.equal(code, 8)
    assert.match(stderr, /^berth: the check was cut short: /)
  })
})
