import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { client } from './clients/index.ts'
import { ownStorage, prepareContainersHome } from './containers-home.ts'
import { randomBytesOf } from './images.ts'
import { engineSkip } from './privileges.ts'
import { getBlob, getManifest } from './registry.ts'
import { storiesWith } from './story.ts'

const buildah = client('buildah')
const story = storiesWith([buildah], { skip: engineSkip() })

for (const format of ['oci', 'docker'] as const) {
  story(
    `buildah from scratch, copy, commit, push --format ${format} › pull gives the same image`,
    async ({ berth, home }) => {
      const certs = await prepareContainersHome(berth, home)
      const run = (argumentList: readonly string[], input?: string) =>
        home.run(buildah.path, [...ownStorage(home), ...argumentList], input === undefined ? {} : { input })
      const login = await run(
        ['login', '--cert-dir', certs, '--username', berth.username, '--password-stdin', berth.host],
        berth.password,
      )
      assert.match(login.output, /Login Succeeded/)
      await writeFile(home.path('file.bin'), randomBytesOf(`buildah-${format}`, 200_000))
      const container = (await run(['from', 'scratch'])).stdout.trim()
      await run(['copy', container, home.path('file.bin'), '/file.bin'])
      await run(['config', '--label', 'dev.berth.test=yes', container])
      const reference = `${berth.host}/buildah/${format}:v1`
      const id = (await run(['commit', '--quiet', '--format', format, container, reference])).stdout.trim()
      await run(['push', '--cert-dir', certs, '--format', format, reference, `docker://${reference}`])

      const stored = await getManifest(berth, `buildah/${format}`, 'v1')
      const kind = format === 'oci' ? 'vnd.oci.image.manifest.v1' : 'vnd.docker.distribution.manifest.v2'
      assert.equal(stored.mediaType, `application/${kind}+json`)
      assert.equal(stored.json.config?.digest, `sha256:${id}`)
      for (const { digest } of stored.json.layers ?? []) await getBlob(berth, `buildah/${format}`, digest)

      await run(['rm', '--all'])
      await run(['rmi', '--all', '--force'])
      const pulled = await run(['pull', '--quiet', '--cert-dir', certs, `docker://${reference}`])
      assert.equal(pulled.stdout.trim(), id)
    },
  )
}
