/** docker follows the way to an object store, and needs none of it. */
import assert from 'node:assert/strict'
import { s3Flags } from '../server/test/blobs.ts'
import { s3Skip } from '../server/test/object-stores.ts'
import { client } from './clients/index.ts'
import { startDockerEngine } from './docker-engine.ts'
import { anImage, dockerArchive } from './images.ts'
import { engineSkip } from './privileges.ts'
import { ask, getManifest } from './registry.ts'
import { storiesWith } from './story.ts'

const docker = client('docker')

for (const redirects of ['yes', 'no'] as const) {
  const story = storiesWith([docker, client('dockerd')], {
    skip: engineSkip() || s3Skip,
    engine: startDockerEngine,
    blobs: s3Flags,
    flags: ['--blob-redirects', redirects],
  })

  story(
    `docker on s3, redirects ${redirects} › push and pull bring the image back`,
    async ({ berth, home, engine }) => {
      const run = (argumentList: readonly string[], input?: string | Iterable<Uint8Array>) =>
        home.run(docker.path, argumentList, { env: { DOCKER_HOST: engine.address }, ...(input ? { input } : {}) })
      await run(['login', '-u', berth.username, '--password-stdin', berth.host], berth.password)
      const image = anImage(`docker-s3-${redirects}`, { layers: 3, layerBytes: 300_000 })
      const reference = `${berth.host}/docker/s3:v1`
      await run(['load'], [dockerArchive(image, reference)])
      await run(['push', reference])
      const stored = await getManifest(berth, 'docker/s3', 'v1')
      for (const { digest, size } of stored.json.layers ?? []) {
        const { status } = await ask(berth, 'GET', `/v2/docker/s3/blobs/${digest}`)
        assert.ok(size > 65_536)
        assert.equal(status, redirects === 'yes' ? 307 : 200)
      }
      await run(['rmi', '--force', reference])
      await run(['pull', reference])
      const { stdout } = await run(['image', 'inspect', '--format', '{{.Id}}', reference])
      assert.equal(stdout.trim(), image.config.descriptor.digest)
    },
  )
}
