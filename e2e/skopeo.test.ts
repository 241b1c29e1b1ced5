import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { prepareContainersHome } from './containers-home.ts'
import { anImage, anIndex, contentsOf, hex, writeOciLayout } from './images.ts'
import { assertHolds, findManifest, listTags, pushImage } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const skopeo = client('skopeo')
const story = storiesWith([skopeo])

async function login(berth: Berth, home: Home): Promise<string> {
  const certs = await prepareContainersHome(berth, home)
  const { output } = await home.run(
    skopeo.path,
    ['login', '--cert-dir', certs, '--username', berth.username, '--password-stdin', berth.host],
    { input: berth.password },
  )
  assert.match(output, /Login Succeeded/)
  return certs
}

story(
  'skopeo copy --all › an index from an OCI layout arrives and comes back byte for byte',
  async ({ berth, home }) => {
    const certs = await login(berth, home)
    const index = anIndex('skopeo-index', ['amd64', 'arm64', 's390x'])
    await writeOciLayout(home.path('layout'), { v1: index })
    const remote = `docker://${berth.host}/skopeo/index:v1`
    await home.run(skopeo.path, [
      ...['copy', '--all', '--preserve-digests', '--dest-cert-dir', certs],
      ...[`oci:${home.path('layout')}:v1`, remote],
    ])
    await assertHolds(berth, 'skopeo/index', 'v1', index)

    await home.run(skopeo.path, ['copy', '--all', '--src-cert-dir', certs, remote, `oci:${home.path('back')}:v1`])
    for (const { bytes, descriptor } of contentsOf(index)) {
      const copied = await readFile(home.path('back', 'blobs', 'sha256', hex(descriptor.digest)))
      assert.ok(copied.equals(bytes), descriptor.mediaType)
    }

    const { stdout } = await home.run(skopeo.path, ['inspect', '--raw', '--cert-dir', certs, remote])
    assert.equal(stdout, index.manifest.bytes.toString('utf8'))
  },
)

story('skopeo copy › repository to repository, and on over plain HTTP', async ({ berth, home }) => {
  const certs = await login(berth, home)
  const image = anImage('skopeo-copy')
  await pushImage(berth, 'skopeo/from', 'v1', image)
  const from = `docker://${berth.host}/skopeo/from:v1`
  await home.run(skopeo.path, [
    ...['copy', '--src-cert-dir', certs, '--dest-cert-dir', certs, from],
    `docker://${berth.host}/skopeo/to:v1`,
  ])
  await assertHolds(berth, 'skopeo/to', 'v1', image)

  await home.run(skopeo.path, ['copy', '--src-tls-verify=false', from, `dir:${home.path('dir')}`])
  const manifest = await readFile(home.path('dir', 'manifest.json'))
  assert.ok(manifest.equals(image.manifest.bytes))
})

story('skopeo inspect, list-tags, sync, delete › tell and change what is stored', async ({ berth, home }) => {
  const certs = await login(berth, home)
  const images = { one: anImage('skopeo-one'), two: anImage('skopeo-two') }
  for (const [tag, image] of Object.entries(images)) await pushImage(berth, 'skopeo/tags', tag, image)
  const repository = `${berth.host}/skopeo/tags`

  const listed = await home.run(skopeo.path, ['list-tags', '--cert-dir', certs, `docker://${repository}`])
  assert.deepEqual(JSON.parse(listed.stdout), { Repository: repository, Tags: ['one', 'two'] })

  const inspected = await home.run(skopeo.path, ['inspect', '--cert-dir', certs, `docker://${repository}:one`])
  const { Digest, Layers, RepoTags } = JSON.parse(inspected.stdout) as Record<string, unknown>
  assert.equal(Digest, images.one.manifest.descriptor.digest)
  assert.deepEqual(
    Layers,
    images.one.layers.map(({ descriptor }) => descriptor.digest),
  )
  assert.deepEqual(RepoTags, ['one', 'two'])

  await home.run(skopeo.path, [
    ...['sync', '--src', 'docker', '--dest', 'dir', '--src-cert-dir', certs],
    ...[repository, home.path('synced')],
  ])
  const manifest = await readFile(home.path('synced', 'tags:two', 'manifest.json'))
  assert.ok(manifest.equals(images.two.manifest.bytes))

  await home.run(skopeo.path, ['delete', '--cert-dir', certs, `docker://${repository}:one`])
  assert.deepEqual(await listTags(berth, 'skopeo/tags'), ['two'])
  assert.equal(await findManifest(berth, 'skopeo/tags', images.one.manifest.descriptor.digest), undefined)
})

story('skopeo › refuses a wrong password and an unknown certificate authority', async ({ berth, home }) => {
  const certs = await prepareContainersHome(berth, home)
  await pushImage(berth, 'skopeo/closed', 'v1', anImage('skopeo-closed'))
  const remote = `docker://${berth.host}/skopeo/closed:v1`
  const inspect = (...flags: readonly string[]) => home.runFailing(skopeo.path, ['inspect', ...flags, remote])
  const wrong = await inspect('--cert-dir', certs, '--creds', `${berth.username}:wrong`)
  assert.match(wrong.output, /unauthorized|authentication required|invalid username\/password/i)
  const anonymous = await inspect('--cert-dir', certs)
  assert.match(anonymous.output, /unauthorized|authentication required/i)
  const untrusted = await inspect('--creds', `${berth.username}:${berth.password}`)
  assert.match(untrusted.output, /unknown authority/)
})
