import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { startContainerd } from './containerd-engine.ts'
import { anImage, anIndex, contentsOf, tarArchive } from './images.ts'
import { engineSkip } from './privileges.ts'
import { assertHolds, pushImage } from './registry.ts'
import { storiesWith } from './story.ts'

const ctr = client('ctr')
const story = storiesWith([ctr, client('containerd')], { skip: engineSkip(), engine: startContainerd })

const transports: Record<string, (berth: Berth) => readonly string[]> = {
  '--plain-http': () => ['--plain-http'],
  '--tlscacert': (berth) => ['--tlscacert', berth.ca],
}

for (const [transport, transportFlags] of Object.entries(transports)) {
  story(
    `ctr images push and pull with ${transport} › every byte arrives and comes back`,
    async ({ berth, home, engine }) => {
      const name = `ctr${transport.replaceAll(/\W+/g, '-')}`
      const flags = [...transportFlags(berth), '--user', `${berth.username}:${berth.password}`]
      // A namespace for each story, so that nothing is there already.
      const run = (...argumentList: readonly string[]) =>
        home.run(ctr.path, ['--address', engine.address, '--namespace', name, ...argumentList])
      const image = anImage(name, { layers: 3, layerBytes: 500_000 })
      const reference = `${berth.host}/${name}/image:v1`
      // An OCI archive: a tar of an OCI layout.
      const blobs = contentsOf(image).map(({ bytes, descriptor }) => [
        `blobs/${descriptor.digest.replace(':', '/')}`,
        bytes,
      ])
      const manifests = [{ ...image.manifest.descriptor, annotations: { 'io.containerd.image.name': reference } }]
      await writeFile(
        home.path('image.tar'),
        tarArchive({
          ...(Object.fromEntries(blobs) as Record<string, Buffer>),
          'index.json': Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })),
          'oci-layout': Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
        }),
      )
      await run('images', 'import', '--no-unpack', home.path('image.tar'))
      await run('images', 'push', ...flags, reference)
      await assertHolds(berth, `${name}/image`, 'v1', image)

      await run('images', 'rm', '--sync', reference)
      assert.equal((await run('content', 'ls', '--quiet')).stdout.trim(), '')
      await run('images', 'pull', '--snapshotter', 'native', ...flags, reference)
      const listed = await run('images', 'ls', `name==${reference}`)
      assert.match(listed.stdout, new RegExp(image.manifest.descriptor.digest))
      const held = (await run('content', 'ls', '--quiet')).stdout.trim().split('\n').sort()
      assert.deepEqual(
        held,
        contentsOf(image)
          .map(({ descriptor }) => descriptor.digest)
          .sort(),
      )
    },
  )
}

story('ctr images pull › the platform asked for, from an index', async ({ berth, home, engine }) => {
  const index = anIndex('ctr-index')
  await pushImage(berth, 'ctr-index/image', 'v1', index)
  const run = (...argumentList: readonly string[]) =>
    home.run(ctr.path, ['--address', engine.address, '--namespace', 'ctr-index', ...argumentList])
  const reference = `${berth.host}/ctr-index/image:v1`
  await run(
    ...['images', 'pull', '--snapshotter', 'native', '--platform', 'linux/arm64', '--plain-http'],
    ...['--user', `${berth.username}:${berth.password}`, reference],
  )
  const held = (await run('content', 'ls', '--quiet')).stdout
  const [amd64, arm64] = index.images
  assert.ok(held.includes(arm64!.layers[0]!.descriptor.digest))
  assert.ok(!held.includes(amd64!.layers[0]!.descriptor.digest))
})

story('ctr › is refused with a wrong password', async ({ berth, home, engine }) => {
  await pushImage(berth, 'ctr-closed/image', 'v1', anImage('ctr-closed'))
  const { output } = await home.runFailing(ctr.path, [
    ...['--address', engine.address, '--namespace', 'ctr-closed', 'images', 'pull', '--plain-http'],
    ...['--user', `${berth.username}:wrong`, `${berth.host}/ctr-closed/image:v1`],
  ])
  assert.match(output, /401|unauthorized|authorization failed/i)
})
