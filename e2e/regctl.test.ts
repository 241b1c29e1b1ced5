import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { anImage, anIndex, contentsOf, hex, writeOciLayout } from './images.ts'
import { assertHolds, getManifest, listReferrers, listTags, pushImage } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const regctl = client('regctl')
const story = storiesWith([regctl])

const transports: Record<string, (berth: Berth) => Promise<readonly string[]>> = {
  'plain HTTP': async () => ['--tls', 'disabled'],
  TLS: async (berth) => ['--tls', 'enabled', '--cacert', await readFile(berth.ca, 'utf8')],
}

async function prepare(berth: Berth, home: Home, flagsOf: (berth: Berth) => Promise<readonly string[]>) {
  await home.run(regctl.path, ['registry', 'set', ...(await flagsOf(berth)), '--skip-check', berth.host])
  const login = ['registry', 'login', '-u', berth.username, '--pass-stdin', berth.host]
  await home.run(regctl.path, login, { input: berth.password })
  return (command: string, ...argumentList: readonly string[]) =>
    home.run(regctl.path, [...command.split(' '), ...argumentList])
}

for (const [transport, flagsOf] of Object.entries(transports)) {
  const name = `regctl-${transport === 'TLS' ? 'tls' : 'plain'}`

  story(
    `regctl image copy over ${transport} › from a layout, between repositories, and back`,
    async ({ berth, home }) => {
      const run = await prepare(berth, home, flagsOf)
      const index = anIndex(name)
      await writeOciLayout(home.path('layout'), { v1: index })
      const reference = `${berth.host}/${name}/index:v1`
      await run('image copy', `ocidir://${home.path('layout')}:v1`, reference)
      await assertHolds(berth, `${name}/index`, 'v1', index)
      await run('image copy', reference, `${berth.host}/${name}/copy:v1`)
      await assertHolds(berth, `${name}/copy`, 'v1', index)
      await run('image copy', reference, `ocidir://${home.path('back')}:v1`)
      for (const { bytes, descriptor } of contentsOf(index)) {
        const copied = await readFile(home.path('back', 'blobs', 'sha256', hex(descriptor.digest)))
        assert.ok(copied.equals(bytes), descriptor.mediaType)
      }
      assert.equal((await run('image digest', reference)).stdout.trim(), index.manifest.descriptor.digest)
    },
  )

  story(`regctl tag ls, tag rm, repo ls over ${transport} › the manifest outlives its tag`, async ({ berth, home }) => {
    const run = await prepare(berth, home, flagsOf)
    const image = anImage(name)
    for (const tag of ['a', 'b', 'c']) await pushImage(berth, `${name}/tags`, tag, image)
    const repository = `${berth.host}/${name}/tags`
    assert.equal((await run('tag ls', repository)).stdout, 'a\nb\nc\n')
    await run('tag rm', `${repository}:b`)
    assert.deepEqual(await listTags(berth, `${name}/tags`), ['a', 'c'])
    await assertHolds(berth, `${name}/tags`, image.manifest.descriptor.digest, image)
    assert.match((await run('repo ls', berth.host)).stdout, new RegExp(`^${name}/tags$`, 'm'))
  })

  story(`regctl artifact put, list, tree and image copy --referrers over ${transport}`, async ({ berth, home }) => {
    const run = await prepare(berth, home, flagsOf)
    const image = anImage(`${name}-subject`)
    await pushImage(berth, `${name}/from`, 'v1', image)
    const reference = `${berth.host}/${name}/from:v1`
    await home.run(
      regctl.path,
      ['artifact', 'put', '--artifact-type', 'application/vnd.berth.test', '--subject', reference],
      { input: 'attached' },
    )
    const subject = image.manifest.descriptor.digest
    const [attached] = await listReferrers(berth, `${name}/from`, subject)
    assert.equal(attached?.artifactType, 'application/vnd.berth.test')
    const listed = await run('artifact list', '--format', '{{range .Descriptors}}{{println .Digest}}{{end}}', reference)
    assert.equal(listed.stdout.trim(), attached.digest)
    await run('image copy', '--referrers', reference, `${berth.host}/${name}/to:v1`)
    assert.equal((await getManifest(berth, `${name}/to`, attached.digest)).json.subject?.digest, subject)
    const fetched = await run('artifact get', '--subject', `${berth.host}/${name}/to:v1`)
    assert.equal(fetched.stdout, 'attached')
  })

  story(`regctl image delete, blob get over ${transport}`, async ({ berth, home }) => {
    const run = await prepare(berth, home, flagsOf)
    const image = anImage(`${name}-delete`)
    await pushImage(berth, `${name}/delete`, 'v1', image)
    const layer = image.layers[0]!
    const got = home.path('layer')
    const repository = `${berth.host}/${name}/delete`
    await home.run(regctl.path, ['blob', 'get', repository, layer.descriptor.digest], { outputFile: got })
    assert.ok((await readFile(got)).equals(layer.bytes))
    await run('image delete', `${repository}@${image.manifest.descriptor.digest}`)
    assert.deepEqual(await listTags(berth, `${name}/delete`), [])
  })
}

story('regctl › is refused with a wrong password', async ({ berth, home }) => {
  await pushImage(berth, 'regctl-closed/image', 'v1', anImage('regctl-closed'))
  await home.run(regctl.path, ['registry', 'set', '--tls', 'disabled', '--skip-check', berth.host])
  const login = ['registry', 'login', '-u', berth.username, '--pass-stdin', berth.host]
  const denied = /unauthorized|authentication failed/i
  assert.match((await home.runFailing(regctl.path, login, { input: 'wrong' })).output, denied)
  const digest = ['image', 'digest', `${berth.host}/regctl-closed/image:v1`]
  assert.match((await home.runFailing(regctl.path, digest)).output, denied)
})
