import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import type { Berth } from './berth.ts'
import { client } from './clients/index.ts'
import { ownStorage, prepareContainersHome } from './containers-home.ts'
import { anImage, dockerArchive } from './images.ts'
import { engineSkip } from './privileges.ts'
import { assertHolds, getBlob, getManifest, listTags, pushImage } from './registry.ts'
import type { Home, RunOptions } from './run.ts'
import { storiesWith } from './story.ts'

const podman = client('podman')
const story = storiesWith([podman], { skip: engineSkip() })

/** podman with storage of its own, ready to talk to the registry. */
async function prepare(berth: Berth, home: Home) {
  const certs = await prepareContainersHome(berth, home)
  const whole = (argumentList: readonly string[]) => [
    ...ownStorage(home),
    ...['--tmpdir', home.path('run', 'podman'), '--events-backend', 'none', '--cgroup-manager', 'cgroupfs'],
    ...argumentList,
  ]
  return {
    certs,
    run: (argumentList: readonly string[], options?: RunOptions) => home.run(podman.path, whole(argumentList), options),
    runFailing: (argumentList: readonly string[]) => home.runFailing(podman.path, whole(argumentList)),
    login: () =>
      home.run(
        podman.path,
        whole(['login', '--cert-dir', certs, '-u', berth.username, '--password-stdin', berth.host]),
        { input: berth.password },
      ),
  }
}

story('podman push and pull › the image comes back with its id', async ({ berth, home }) => {
  const { certs, run, login } = await prepare(berth, home)
  assert.match((await login()).output, /Login Succeeded/)
  const image = anImage('podman-push', { layers: 3 })
  const reference = `${berth.host}/podman/push:v1`
  await writeFile(home.path('image.tar'), dockerArchive(image, reference))
  await run(['load', '-i', home.path('image.tar')])
  await run(['push', '--cert-dir', certs, '--digestfile', home.path('digest'), reference])

  const stored = await getManifest(berth, 'podman/push', 'v1')
  assert.equal(stored.json.config?.digest, image.config.descriptor.digest)
  assert.equal(stored.json.layers?.length, 3)
  for (const { digest } of stored.json.layers ?? []) await getBlob(berth, 'podman/push', digest)

  await run(['rmi', '--all', '--force'])
  assert.equal((await run(['images', '--quiet'])).stdout.trim(), '')
  const pulled = await run(['pull', '--quiet', '--cert-dir', certs, reference])
  assert.equal(`sha256:${pulled.stdout.trim()}`, image.config.descriptor.digest)
  const { stdout } = await run(['image', 'inspect', '--format', '{{.Digest}}', reference])
  assert.equal(stdout.trim(), stored.digest)
})

story('podman pull › by digest, after the tag moved on', async ({ berth, home }) => {
  const { certs, run, login } = await prepare(berth, home)
  await login()
  const [first, second] = [anImage('podman-first'), anImage('podman-second')]
  await pushImage(berth, 'podman/moved', 'latest', first)
  await pushImage(berth, 'podman/moved', 'latest', second)
  const pull = async (reference: string) =>
    `sha256:${(await run(['pull', '--quiet', '--cert-dir', certs, `${berth.host}/podman/moved${reference}`])).stdout.trim()}`
  assert.equal(await pull(':latest'), second.config.descriptor.digest)
  assert.equal(await pull(`@${first.manifest.descriptor.digest}`), first.config.descriptor.digest)
})

story('podman manifest push --all › an index of two architectures', async ({ berth, home }) => {
  const { certs, run, login } = await prepare(berth, home)
  await login()
  const images = { amd64: anImage('podman-multi'), arm64: anImage('podman-multi', { architecture: 'arm64' }) }
  for (const [tag, image] of Object.entries(images)) await pushImage(berth, 'podman/multi', tag, image)
  const repository = `${berth.host}/podman/multi`
  await run(['manifest', 'create', 'multi'])
  for (const tag of Object.keys(images)) {
    await run(['manifest', 'add', '--cert-dir', certs, 'multi', `docker://${repository}:${tag}`])
  }
  await run(['manifest', 'push', '--all', '--cert-dir', certs, 'multi', `docker://${repository}:all`])
  const index = await getManifest(berth, 'podman/multi', 'all')
  assert.deepEqual(
    index.json.manifests?.map(({ digest }) => digest),
    Object.values(images).map(({ manifest }) => manifest.descriptor.digest),
  )
  assert.deepEqual(await listTags(berth, 'podman/multi'), ['all', 'amd64', 'arm64'])
})

story('podman › cannot pull after logout, nor with a wrong password', async ({ berth, home }) => {
  const { certs, run, runFailing, login } = await prepare(berth, home)
  const image = anImage('podman-closed')
  await pushImage(berth, 'podman/closed', 'v1', image)
  await assertHolds(berth, 'podman/closed', 'v1', image)
  const pull = ['pull', '--cert-dir', certs, `${berth.host}/podman/closed:v1`]
  await login()
  await run(['logout', berth.host])
  assert.match((await runFailing(pull)).output, /unauthorized|authentication required/i)
  const wrong = await runFailing(['login', '--cert-dir', certs, '-u', berth.username, '-p', 'wrong', berth.host])
  assert.match(wrong.output, /invalid username\/password|unauthorized/i)
})
