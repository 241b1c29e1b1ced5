import assert from 'node:assert/strict'
import { client } from './clients/index.ts'
import { type DockerEngine, startDockerEngine } from './docker-engine.ts'
import { anImage, dockerArchive } from './images.ts'
import { engineSkip } from './privileges.ts'
import { getBlob, getManifest, pushImage } from './registry.ts'
import type { RunOptions } from './run.ts'
import { type Stage, storiesWith } from './story.ts'

const docker = client('docker')
const story = storiesWith([docker, client('dockerd')], { skip: engineSkip(), engine: startDockerEngine })

function prepare({ berth, home, engine }: Stage<DockerEngine>) {
  const withHost = (options: RunOptions = {}) => ({
    ...options,
    env: { DOCKER_HOST: engine.address, ...options.env },
  })
  const run = (argumentList: readonly string[], options?: RunOptions) =>
    home.run(docker.path, argumentList, withHost(options))
  const runFailing = (argumentList: readonly string[], options?: RunOptions) =>
    home.runFailing(docker.path, argumentList, withHost(options))
  return {
    run,
    runFailing,
    login: async (host = berth.host) => {
      const { output } = await run(['login', '-u', berth.username, '--password-stdin', host], { input: berth.password })
      assert.match(output, /Login Succeeded/)
    },
    idOf: async (reference: string) =>
      (await run(['image', 'inspect', '--format', '{{.Id}}', reference])).stdout.trim(),
    /** Also what other stories left in the engine, so that nothing is there already. */
    removeImages: async () => {
      const ids = (await run(['images', '--quiet', '--no-trunc'])).stdout.trim().split('\n').filter(Boolean)
      if (ids.length > 0) await run(['rmi', '--force', ...new Set(ids)])
    },
  }
}

story('docker login, push, pull › the image comes back with its id and all its layers', async (stage) => {
  const { berth } = stage
  const { run, login, idOf, removeImages } = prepare(stage)
  await login()
  const image = anImage('docker-push', { layers: 5, layerBytes: 300_000 })
  const reference = `${berth.host}/docker/push:v1`
  await run(['load'], { input: [dockerArchive(image, reference)] })
  assert.equal(await idOf(reference), image.config.descriptor.digest)
  const pushed = await run(['push', reference])

  const stored = await getManifest(berth, 'docker/push', 'v1')
  assert.match(pushed.stdout, new RegExp(`v1: digest: ${stored.digest} size: ${stored.bytes.length}`))
  assert.equal(stored.json.config?.digest, image.config.descriptor.digest)
  assert.equal(stored.json.layers?.length, 5)
  for (const { digest, size } of stored.json.layers) {
    assert.equal((await getBlob(berth, 'docker/push', digest)).length, size)
  }

  await removeImages()
  const pulled = await run(['pull', reference])
  assert.match(pulled.stdout, new RegExp(`Digest: ${stored.digest}`))
  assert.equal(await idOf(reference), image.config.descriptor.digest)
  const { stdout } = await run(['image', 'inspect', '--format', '{{json .RootFS.Layers}}', reference])
  assert.deepEqual(
    JSON.parse(stdout),
    image.layers.map(({ diffId }) => diffId),
  )
})

story('docker push › to a second repository and a second tag uploads nothing again', async (stage) => {
  const { berth } = stage
  const { run, login } = prepare(stage)
  await login()
  const image = anImage('docker-mount', { layers: 2 })
  const first = `${berth.host}/docker/mount-from:v1`
  await run(['load'], { input: [dockerArchive(image, first)] })
  await run(['push', first])
  const stored = await getManifest(berth, 'docker/mount-from', 'v1')
  for (const repository of ['docker/mount-from:v2', 'docker/mount-to:v1']) {
    await run(['tag', first, `${berth.host}/${repository}`])
    const { stdout } = await run(['push', `${berth.host}/${repository}`])
    assert.match(stdout, /Layer already exists|Mounted from docker\/mount-from/)
    assert.doesNotMatch(stdout, /: Pushed/)
    assert.equal((await getManifest(berth, ...splitTag(repository))).digest, stored.digest)
  }
})

story('docker pull › by digest, after the tag moved and the local image was deleted', async (stage) => {
  const { berth } = stage
  const { run, login, idOf, removeImages } = prepare(stage)
  await login()
  const [first, second] = [anImage('docker-first'), anImage('docker-second')]
  const reference = `${berth.host}/docker/moved:latest`
  for (const image of [first, second]) {
    await run(['load'], { input: [dockerArchive(image, reference)] })
    await run(['push', reference])
    const stored = await getManifest(berth, 'docker/moved', 'latest')
    assert.equal(stored.json.config?.digest, image.config.descriptor.digest)
    if (image === first) {
      await removeImages()
      await run(['pull', reference])
      assert.equal(await idOf(reference), first.config.descriptor.digest)
      await removeImages()
      await run(['pull', `${berth.host}/docker/moved@${stored.digest}`])
    }
  }
  const [firstDigest] = (
    await run(['image', 'inspect', '--format', '{{join .RepoDigests " "}}', first.config.descriptor.digest])
  ).stdout
    .trim()
    .split(' ')
  await removeImages()
  await run(['pull', reference])
  assert.equal(await idOf(reference), second.config.descriptor.digest)
  await run(['pull', firstDigest!])
  assert.equal(await idOf(firstDigest!), first.config.descriptor.digest)
})

story('docker manifest create, annotate, push, inspect › a list of two architectures', async (stage) => {
  const { berth } = stage
  const { run, login, idOf, removeImages } = prepare(stage)
  await login()
  const repository = `${berth.host}/docker/multi`
  const images = { amd64: anImage('docker-multi'), arm64: anImage('docker-multi', { architecture: 'arm64' }) }
  const digests: string[] = []
  for (const [architecture, image] of Object.entries(images)) {
    const reference = `${repository}:${architecture}`
    await run(['load'], { input: [dockerArchive(image, reference)] })
    await run(['push', reference])
    digests.push((await getManifest(berth, 'docker/multi', architecture)).digest)
  }
  // `docker manifest` talks to the registry itself, not through the engine, and so trusts what the system trusts.
  const trusting = { env: { SSL_CERT_FILE: berth.ca } }
  await run(['manifest', 'create', `${repository}:all`, `${repository}:amd64`, `${repository}:arm64`], trusting)
  await run(['manifest', 'annotate', '--variant', 'v8', `${repository}:all`, `${repository}:arm64`], trusting)
  const pushed = await run(['manifest', 'push', `${repository}:all`], trusting)
  const list = await getManifest(berth, 'docker/multi', 'all')
  assert.equal(pushed.stdout.trim().split('\n').at(-1), list.digest)
  assert.deepEqual(
    list.json.manifests?.map(({ digest }) => digest),
    digests,
  )

  const inspected = await run(['manifest', 'inspect', '--insecure', `${repository}:all`])
  const { manifests } = JSON.parse(inspected.stdout) as { manifests: { platform: { architecture: string } }[] }
  assert.deepEqual(
    manifests.map(({ platform }) => platform.architecture),
    ['amd64', 'arm64'],
  )
  await removeImages()
  await run(['pull', '--platform', 'linux/arm64', `${repository}:all`])
  assert.equal(await idOf(`${repository}:all`), images.arm64.config.descriptor.digest)
})

story('docker › cannot pull after logout, nor log in with a wrong password', async (stage) => {
  const { berth } = stage
  const { run, runFailing, login } = prepare(stage)
  await pushImage(berth, 'docker/closed', 'v1', anImage('docker-closed'))
  const pull = ['pull', `${berth.host}/docker/closed:v1`]
  const denied = /unauthorized|authentication required|no basic auth credentials|denied/i
  assert.match((await runFailing(pull)).output, denied)
  await login()
  await run(pull)
  await run(['logout', berth.host])
  await run(['rmi', `${berth.host}/docker/closed:v1`])
  assert.match((await runFailing(pull)).output, denied)
  const wrong = await runFailing(['login', '-u', berth.username, '--password-stdin', berth.host], { input: 'wrong' })
  assert.match(wrong.output, /unauthorized|401/i)
})

story('docker pull › an unknown tag and an unknown repository are reported as such', async (stage) => {
  const { berth } = stage
  const { runFailing, login } = prepare(stage)
  await login()
  await pushImage(berth, 'docker/known', 'v1', anImage('docker-known'))
  for (const reference of ['docker/known:v2', 'docker/unknown:v1']) {
    const { output } = await runFailing(['pull', `${berth.host}/${reference}`])
    assert.match(output, /manifest unknown|not found|name unknown/i)
  }
})

story(
  'docker login, push, pull › by the registry’s own name under localhost',
  async (stage) => {
    const { berth } = stage
    const { run, login, idOf, removeImages } = prepare(stage)
    const host = `${berth.bootstrap.registry.name}.${berth.host}`
    await login(host)
    const image = anImage('docker-named')
    const reference = `${host}/docker/named:v1`
    await run(['load'], { input: [dockerArchive(image, reference)] })
    await run(['push', reference])
    const stored = await getManifest(berth, 'docker/named', 'v1')
    assert.equal(stored.json.config?.digest, image.config.descriptor.digest)
    await removeImages()
    await run(['pull', reference])
    assert.equal(await idOf(reference), image.config.descriptor.digest)
  },
  { needs: [client('*.localhost')] },
)

function splitTag(reference: string): [string, string] {
  const at = reference.lastIndexOf(':')
  return [reference.slice(0, at), reference.slice(at + 1)]
}
