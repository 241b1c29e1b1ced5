import assert from 'node:assert/strict'
import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { client } from './clients/index.ts'
import { startDockerEngine } from './docker-engine.ts'
import { aLargeImage } from './images.ts'
import { engineSkip } from './privileges.ts'
import { memoryOfTree } from './process-group.ts'
import { getManifest } from './registry.ts'
import { storiesWith } from './story.ts'

const docker = client('docker')
const layerBytes = 1 << 30
/** The engine's copies before and after, its archives in flight, the registry's blob. */
const neededBytes = 8 * layerBytes
/** The server streams: what it holds does not grow with the layer. */
const allowedGrowthBytes = 256 << 20

const story = storiesWith([docker, client('dockerd')], {
  skip: engineSkip() || skipWithoutRoom(),
  engine: startDockerEngine,
})

story(
  'docker push and pull › a layer of 1 GiB, without the server’s memory growing with it',
  async ({ berth, home, engine, t }) => {
    const run = (argumentList: readonly string[], input?: Iterable<Buffer> | string) =>
      home.run(docker.path, argumentList, {
        env: { DOCKER_HOST: engine.address },
        timeoutSeconds: 300,
        ...(input === undefined ? {} : { input }),
      })
    await run(['login', '-u', berth.username, '--password-stdin', berth.host], berth.password)
    const image = aLargeImage('docker-large', layerBytes)
    const reference = `${berth.host}/docker/large:v1`
    await run(['load'], image.archive(reference))
    const before = memoryOfTree(berth.pid)
    const pushed = await run(['push', reference])
    const afterPush = memoryOfTree(berth.pid)

    const stored = await getManifest(berth, 'docker/large', 'v1')
    assert.equal(stored.json.config?.digest, image.id)
    assert.ok(stored.json.layers![0]!.size > layerBytes * 0.99, 'random bytes do not compress')

    await run(['rmi', '--force', reference])
    const pulled = await run(['pull', reference])
    const afterPull = memoryOfTree(berth.pid)
    const { stdout } = await run(['image', 'inspect', '--format', '{{.Id}} {{index .RootFS.Layers 0}}', reference])
    // The engine hashes what it unpacks: the same id and layer mean the same bytes.
    assert.equal(stdout.trim(), `${image.id} ${image.diffId}`)

    const mebibytes = (bytes: number) => `${Math.round(bytes / (1 << 20))} MiB`
    t.diagnostic(
      [
        `push ${pushed.seconds.toFixed(1)} s, pull ${pulled.seconds.toFixed(1)} s (the engine’s compression included)`,
        `server memory: ${mebibytes(before.resident)} before, ${mebibytes(afterPush.resident)} after the push,`,
        `${mebibytes(afterPull.resident)} after the pull, ${mebibytes(afterPull.highest)} at most`,
      ].join(' '),
    )
    assert.ok(afterPull.highest - before.highest < allowedGrowthBytes, 'the server’s memory grew with the layer')
  },
  { timeoutSeconds: 600 },
)

function skipWithoutRoom(): string | false {
  const { bavail, bsize } = statfsSync(tmpdir())
  return bavail * bsize > neededBytes ? false : `too little room in ${tmpdir()} for a layer of 1 GiB`
}
