import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, type TestContext, test } from 'node:test'
import { digestOf } from '@berth/oci'
import { createCore } from '@berth/server/app.ts'
import { keysOf } from '@berth/server/start/prepare.ts'
import { prepareFolder, run } from '../../test/run.ts'

const content = Buffer.alloc(5_000, 'x')
const digest = digestOf('sha256', content)
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const named = { mediaType: 'text/plain', digest, size: content.length }
const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: named, layers: [named] }))

suite('berth usage', () => {
  const data = mkdtempSync(join(tmpdir(), 'berth-usage-'))
  before(async () => {
    const { config } = await prepareFolder(data)
    const core = await createCore(config, await keysOf(config))
    const at = (repository: string) => ({ registry: 'berth', repository })
    const bytes = (async function* () {
      yield content
    })()
    await core.registry.pushBlob(at('team/app'), digest, bytes)
    await core.registry.mountBlob(at('team/web'), digest, 'team/app', () => true)
    for (const tag of ['v1', 'v2']) await core.registry.putManifest(at('team/app'), { tag }, mediaType, manifest)
    await core.dispose()
  })
  after(() => rmSync(data, { recursive: true }))
  const usage = (t: TestContext, ...flags: string[]) => run(t, ['usage', '--data', data, ...flags])

  test('a table of registries and their repositories; blobs that these share count once in the registry', async (t) => {
    const { code, stdout, stderr } = await usage(t)
    assert.deepEqual([code, stderr], [0, ''])
    assert.deepEqual(stdout.split('\n'), [
      '                manifests  tags   bytes',
      'berth                   1     2  5.3 kB',
      'berth/team/app          1     2  5.3 kB',
      'berth/team/web          0     0  5.0 kB',
      '',
    ])
  })

  test('--json › one object a line, with exact bytes', async (t) => {
    const lines = (await usage(t, '--json')).stdout.trim().split('\n')
    const app = {
      manifests: 1,
      tags: 2,
      blobBytes: 5_000,
      manifestBytes: manifest.length,
      bytes: 5_000 + manifest.length,
    }
    const web = { manifests: 0, tags: 0, blobBytes: 5_000, manifestBytes: 0, bytes: 5_000 }
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [
        { registry: 'berth', repository: 'team/app', ...app },
        { registry: 'berth', repository: 'team/web', ...web },
        { registry: 'berth', ...app },
      ],
    )
  })
})
