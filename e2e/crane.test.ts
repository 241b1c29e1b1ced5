import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { anImage, anIndex, randomBytesOf, tarArchive, writeOciLayout } from './images.ts'
import { assertHolds, findManifest, getBlob, getManifest, listTags, pushImage } from './registry.ts'
import type { Home } from './run.ts'
import { storiesWith } from './story.ts'

const crane = client('crane')
const story = storiesWith([crane])

/** Without a certificate authority to trust, crane falls back to plain HTTP on localhost. */
const transports = {
  'plain HTTP': () => ({}),
  TLS: (berth: Berth) => ({ SSL_CERT_FILE: berth.ca }),
}

for (const [transport, envOf] of Object.entries(transports)) {
  const name = `crane-${transport === 'TLS' ? 'tls' : 'plain'}`
  const prepare = async (berth: Berth, home: Home) => {
    const run = (...argumentList: readonly string[]) => home.run(crane.path, argumentList, { env: envOf(berth) })
    await home.run(crane.path, ['auth', 'login', berth.host, '-u', berth.username, '--password-stdin'], {
      input: berth.password,
    })
    return run
  }

  story(`crane push, pull, copy, digest, ls, delete, catalog over ${transport}`, async ({ berth, home }) => {
    const run = await prepare(berth, home)
    const index = anIndex(name)
    await writeOciLayout(home.path('layout'), { v1: index })
    const repository = `${berth.host}/${name}/index`
    await run('push', '--index', home.path('layout'), `${repository}:layout`)
    const pushed = await getManifest(berth, `${name}/index`, 'layout')
    assert.deepEqual(
      pushed.json.manifests?.map(({ digest }) => digest),
      [index.manifest.descriptor.digest],
    )
    await run('tag', `${repository}@${index.manifest.descriptor.digest}`, 'v1')
    await assertHolds(berth, `${name}/index`, 'v1', index)

    await run('copy', `${repository}:v1`, `${berth.host}/${name}/copy:v1`)
    await assertHolds(berth, `${name}/copy`, 'v1', index)
    assert.equal((await run('digest', `${berth.host}/${name}/copy:v1`)).stdout.trim(), index.manifest.descriptor.digest)
    // Lest it fell back in silence.
    const { stderr } = await run('--verbose', 'digest', `${repository}:v1`)
    const scheme = transport === 'TLS' ? 'https' : 'http'
    assert.match(stderr, new RegExp(`--> (HEAD|GET) ${scheme}://${berth.host}/v2/${name}/index/manifests/v1`))
    assert.equal((await run('manifest', `${repository}:v1`)).stdout, index.manifest.bytes.toString('utf8'))

    await run('pull', '--format', 'oci', `${repository}:v1`, home.path('back'))
    const layer = index.images[0]!.layers[0]!
    const blobs = home.path('back', 'blobs', 'sha256')
    assert.ok((await readFile(`${blobs}/${layer.descriptor.digest.slice(7)}`)).equals(layer.bytes))

    assert.deepEqual((await run('ls', repository)).stdout.trim().split('\n'), ['layout', 'v1'])
    const repositories = (await run('catalog', berth.host)).stdout.trim().split('\n')
    assert.ok(repositories.includes(`${name}/index`) && repositories.includes(`${name}/copy`), repositories.join())

    await run('delete', `${berth.host}/${name}/copy@${index.manifest.descriptor.digest}`)
    assert.equal(await findManifest(berth, `${name}/copy`, 'v1'), undefined)
    assert.deepEqual(await listTags(berth, `${name}/copy`), [])
  })

  story(
    `crane append and mutate over ${transport} › layers and labels are what was asked for`,
    async ({ berth, home }) => {
      const run = await prepare(berth, home)
      const image = anImage(`${name}-base`)
      await pushImage(berth, `${name}/append`, 'base', image)
      await writeFile(home.path('layer.tar'), tarArchive({ 'added.bin': randomBytesOf(name, 100_000) }))
      const repository = `${berth.host}/${name}/append`
      await run('append', '-b', `${repository}:base`, '-f', home.path('layer.tar'), '-t', `${repository}:more`)
      const more = await getManifest(berth, `${name}/append`, 'more')
      assert.deepEqual(
        more.json.layers?.slice(0, 2).map(({ digest }) => digest),
        image.layers.map(({ descriptor }) => descriptor.digest),
      )
      assert.equal(more.json.layers?.length, 3)
      await getBlob(berth, `${name}/append`, more.json.layers[2]!.digest)

      await run('mutate', `${repository}:more`, '--label', 'a=b', '-t', `${repository}:labelled`)
      const config = JSON.parse((await run('config', `${repository}:labelled`)).stdout) as {
        config: { Labels: Record<string, string> }
      }
      assert.equal(config.config.Labels.a, 'b')
      await run('validate', '--remote', `${repository}:labelled`)
    },
  )
}

story('crane › is refused with a wrong password and without one', async ({ berth, home }) => {
  await pushImage(berth, 'crane-closed/image', 'v1', anImage('crane-closed'))
  const digest = ['digest', `${berth.host}/crane-closed/image:v1`]
  assert.match((await home.runFailing(crane.path, digest)).output, /UNAUTHORIZED|401/i)
  await home.run(crane.path, ['auth', 'login', berth.host, '-u', berth.username, '-p', 'wrong'])
  assert.match((await home.runFailing(crane.path, digest)).output, /UNAUTHORIZED|401/i)
})
