/** Blobs in an object store: clients push through Berth, and are sent to the store, or not, when they pull. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { azureFlags, type BlobFlags, s3Flags } from '../server/test/blobs.ts'
import { azureSkip, s3Skip } from '../server/test/object-stores.ts'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { prepareContainersHome } from './containers-home.ts'
import { anImage, hex, randomBytesOf, sha256, writeOciLayout } from './images.ts'
import { runBerth } from './program.ts'
import { ask, assertHolds, getBlob } from './registry.ts'
import { storiesWith } from './story.ts'
import { temporaryFolder } from './temporary-folder.ts'

const [skopeo, oras] = [client('skopeo'), client('oras')]

const places: readonly {
  name: string
  blobs: () => Promise<BlobFlags>
  redirects: 'yes' | 'no'
  skip: string | false
}[] = [
  { name: 's3', blobs: s3Flags, redirects: 'yes', skip: s3Skip },
  { name: 's3', blobs: s3Flags, redirects: 'no', skip: s3Skip },
  { name: 'azure-blob', blobs: azureFlags, redirects: 'yes', skip: azureSkip },
  { name: 'azure-blob', blobs: azureFlags, redirects: 'no', skip: azureSkip },
]

for (const { name, blobs, redirects, skip } of places) {
  const story = storiesWith([], { skip, blobs, flags: ['--blob-redirects', redirects] })
  const where = `${name}, redirects ${redirects}`

  /** Nothing of the blob is in Berth's own folder, and it is answered as the flag says. */
  async function assertServed(berth: Berth, repository: string, digest: string, size: number) {
    const { status, headers } = await ask(berth, 'GET', `/v2/${repository}/blobs/${digest}`)
    assert.equal(status, redirects === 'yes' && size > 65_536 ? 307 : 200)
    if (status === 307) assert.match(headers.location ?? '', new RegExp(`^http://127.0.0.1:.*${hex(digest)}\\?`))
    await assert.rejects(readFile(`${berth.dataFolder}/blobs/sha256/${hex(digest).slice(0, 2)}/${hex(digest)}`))
  }

  story(
    `skopeo on ${where} › an image arrives and comes back byte for byte`,
    async ({ berth, home }) => {
      const certs = await prepareContainersHome(berth, home)
      const credentials = `${berth.username}:${berth.password}`
      const image = anImage(`store-${name}-${redirects}`, { layers: 3, layerBytes: 300_000 })
      await writeOciLayout(home.path('layout'), { v1: image })
      const remote = `docker://${berth.host}/store/skopeo:v1`
      const to = ['--preserve-digests', '--dest-cert-dir', certs, '--dest-creds', credentials]
      await home.run(skopeo.path, ['copy', ...to, `oci:${home.path('layout')}:v1`, remote])
      await assertHolds(berth, 'store/skopeo', 'v1', image)
      const from = ['--src-cert-dir', certs, '--src-creds', credentials]
      await home.run(skopeo.path, ['copy', ...from, remote, `oci:${home.path('back')}:v1`])
      for (const { bytes, descriptor } of [...image.layers, image.config]) {
        const copied = await readFile(home.path('back', 'blobs', 'sha256', hex(descriptor.digest)))
        assert.ok(copied.equals(bytes), descriptor.mediaType)
        await assertServed(berth, 'store/skopeo', descriptor.digest, descriptor.size)
      }
    },
    { needs: [skopeo] },
  )

  story(
    `oras on ${where} › a blob of many parts arrives and comes back`,
    async ({ berth, home }) => {
      await home.run(oras.path, ['login', '-u', berth.username, '-p', berth.password, berth.host])
      const bytes = randomBytesOf(`store-oras-${where}`, 33 << 20)
      await writeFile(home.path('blob.bin'), bytes)
      const digest = sha256(bytes)
      const blob = `${berth.host}/store/oras@${digest}`
      await home.run(oras.path, ['blob', 'push', blob, 'blob.bin'])
      await assertServed(berth, 'store/oras', digest, bytes.length)
      await home.run(oras.path, ['blob', 'fetch', '--output', home.path('back.bin'), blob])
      assert.ok((await readFile(home.path('back.bin'))).equals(bytes))
      assert.ok((await getBlob(berth, 'store/oras', digest)).equals(bytes))
    },
    { needs: [oras] },
  )

  story(`Berth on ${where} › finds its blobs after a restart, and tells no secret of the store`, async ({ berth }) => {
    const bytes = randomBytesOf(`store-restart-${where}`, 100_000)
    const query = new URLSearchParams({ digest: sha256(bytes) })
    const pushed = await ask(berth, 'POST', `/v2/store/restart/blobs/uploads/?${query}`, { body: bytes })
    assert.equal(pushed.status, 201, pushed.body.toString())
    await berth.restart()
    assert.ok((await getBlob(berth, 'store/restart', sha256(bytes))).equals(bytes))
    const { env } = await blobs()
    for (const secret of Object.values(env)) assert.ok(!berth.log.includes(secret))
    assert.doesNotMatch(berth.log, /X-Amz-Signature|[?&]sig=/)
  })
}

test('berth start › says in one sentence why the store cannot be used, and ends', { skip: s3Skip }, async () => {
  await using data = await temporaryFolder('data')
  const { flags, env } = await s3Flags()
  const [, address = ''] = flags
  const start = (blobs: string, own: Readonly<Record<string, string>>) =>
    runBerth(['start', '--port', '0', '--workers', '1', '--data', data.folder, '--blobs', blobs], own)
  const missing = await start(address.replace('berth-test', 'not-there'), env)
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /cannot start: s3:\/\/not-there\S* names a bucket or container that does not exist/)
  const denied = await start(address, { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' })
  assert.equal(denied.code, 1)
  assert.match(denied.stderr, /cannot start: s3:\/\/berth-test\S* may not be read and written with the credentials/)
  const mistaken = await start('s3://key:the-secret@bucket', env)
  assert.equal(mistaken.code, 2)
  assert.match(mistaken.stderr, /--blobs: must hold no credentials/)
  for (const { stderr } of [missing, denied, mistaken]) {
    for (const secret of [env.AWS_SECRET_ACCESS_KEY ?? '', 'the-secret']) assert.ok(!stderr.includes(secret))
  }
})
