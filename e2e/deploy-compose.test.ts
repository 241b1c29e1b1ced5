/** `deploy/compose`: several nodes without affinity behind nginx, on PostgreSQL and an S3-compatible store. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { BlockList } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse } from 'yaml'
import { postgresSkip } from '../server/test/postgres.ts'
import type { Berth } from './berth.ts'
import { client, skipUnless } from './clients/index.ts'
import { composeFolder, type Nodes, prepareSecrets, readCompose, startCompose } from './compose-parts.ts'
import { prepareContainersHome } from './containers-home.ts'
import { anImage, contentsOf, hex, randomBytesOf, sha256, writeOciLayout } from './images.ts'
import { fetchOnce, runBerth, until } from './program.ts'
import { ask, assertHolds, closing, getBlob, pushImage } from './registry.ts'
import { freshHome, type Home } from './run.ts'

describe('deploy/compose', () => {
  let home: Home
  let secrets: string
  before(async () => {
    home = await freshHome()
    secrets = await prepareSecrets(home.path('compose'), 'registry.example.com')
  })
  after(() => home[Symbol.asyncDispose]())

  test('prepare.sh makes every secret that compose.yaml names, for nobody else, and again only what is missing', async () => {
    const { secrets: named } = await readCompose()
    const files = Object.values(named).map(({ file }) => file.replace(/^secrets\//, ''))
    assert.deepEqual(readdirSync(secrets).sort(), files.sort())
    assert.equal(statSync(secrets).mode & 0o777, 0o700)
    const contents = () => files.map((file) => readFileSync(join(secrets, file), 'utf8'))
    const before = contents()
    assert.ok(before.every((text) => text.length > 40))
    await home.run('rm', [join(secrets, 'tls.crt'), join(secrets, 'tls.key'), join(secrets, 's3-credentials')])
    await prepareSecrets(home.path('compose'), 'registry.example.com')
    const changed = files.filter((_, index) => contents()[index] !== before[index])
    assert.deepEqual(changed, ['s3-credentials', 'tls.crt', 'tls.key'])
    const { stdout } = await home.run('openssl', ['x509', '-in', join(secrets, 'tls.crt'), '-noout', '-text'])
    assert.match(stdout, /DNS:registry\.example\.com, DNS:\*\.registry\.example\.com/)
  })

  test('nginx, the nodes and the configuration agree about addresses and times', async () => {
    const { services, networks } = await readCompose()
    const config = parse(await readFile(join(secrets, 'berth.yaml'), 'utf8')) as Record<string, string | number>
    const nginx = await readFile(join(composeFolder, 'nginx.conf'), 'utf8')
    const addressOf = (name: string) => services[name]?.networks?.default.ipv4_address ?? ''
    const upstreams = Array.from(nginx.matchAll(/^\s+server (\S+):(\d+) /gm), ([, address, port]) => [address, port])
    const nodes = Object.keys(services).filter((name) => name.startsWith('berth-'))
    assert.deepEqual(
      upstreams,
      nodes.map((name) => [addressOf(name), String(config.port)]),
    )
    assert.equal(config['trusted-proxies'], addressOf('nginx'))
    const network = new BlockList()
    const [address = '', bits] = (networks.default.ipam.config[0]?.subnet ?? '').split('/')
    network.addSubnet(address, Number(bits))
    for (const name of ['nginx', ...nodes]) assert.ok(network.check(addressOf(name)), name)
    for (const name of nodes) {
      const { stop_grace_period: grace = '', environment = {}, secrets: mounted = [] } = services[name] ?? {}
      assert.ok(Number.parseInt(grace, 10) > Number(config['drain-seconds']), `${name} is cut before it has drained`)
      for (const path of [...Object.values(environment), config['secret-key']]) {
        assert.ok(mounted.includes(String(path).replace('/run/secrets/', '')), `${name} does not see ${path}`)
      }
    }
    assert.match(nginx, new RegExp(`ssl_certificate +/run/secrets/${services.nginx?.secrets?.[0]};`))
  })

  test('every service comes back after a crash, and says whether it is well', async () => {
    const { services } = await readCompose()
    for (const [name, { restart, healthcheck, image }] of Object.entries(services)) {
      assert.equal(restart, 'unless-stopped', name)
      // Berth's own check is in its image.
      assert.ok(healthcheck !== undefined || name.startsWith('berth-'), name)
      assert.match(image ?? '', /^(?:\S+:v?\d\S*|\$\{BERTH_IMAGE:-berth:\d\S+\})$/, `${name} names no version`)
    }
  })

  test('names settings, and only by the variables that berth start knows', async () => {
    const { services } = await readCompose()
    const { stdout } = await runBerth(['start', '--help'])
    const config = parse(await readFile(join(secrets, 'berth.yaml'), 'utf8')) as Record<string, unknown>
    for (const name of Object.keys(config)) assert.match(stdout, new RegExp(`--${name} [<[]`))
    const variables = Object.keys(services['berth-1']?.environment ?? {}).filter((name) => name.startsWith('BERTH_'))
    assert.deepEqual(variables, ['BERTH_CONFIG'])
  })

  test('Compose itself takes the file', async (t) => {
    const composes = [[client('docker').path, 'compose'] as const, ['docker-compose'] as const]
    for (const [command, ...args] of composes) {
      const version = await home.run(command, [...args, 'version', '--short']).catch(() => undefined)
      if (version === undefined || version.stdout.startsWith('1.')) continue
      const flags = ['--file', join(composeFolder, 'compose.yaml'), 'config', '--quiet']
      await home.run(command, [...args, ...flags])
      return
    }
    t.skip('Docker Compose is not installed')
  })
})

const skip =
  skipUnless(client('nginx'), client('versitygw'), client('openssl'), client('skopeo'), client('oras')) || postgresSkip

describe('two nodes behind nginx', { skip, timeout: 300_000 }, () => {
  let cluster: Nodes
  let berth: Berth
  let home: Home
  before(async () => {
    cluster = await startCompose()
    // What clients and helpers use of a registry is the same for one node and for many.
    berth = cluster.berth as Berth
    home = await freshHome({ secrets: [berth.password] })
  })
  after(async () => {
    await home?.[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
  })

  test('both nodes answer, and clients are told the address that they see', async () => {
    const challenges = new Set<string>()
    for (let round = 0; round < 8; round++) {
      const { status, headers } = await ask(berth, 'GET', '/v2/', { anonymous: true })
      assert.equal(status, 401)
      challenges.add(String(headers['www-authenticate']))
    }
    assert.equal(challenges.size, 1)
    assert.match([...challenges][0] ?? '', new RegExp(`realm="https://${berth.host}/oauth2/token"`))
    for (const { log } of cluster.nodes) assert.match(log, /"path":"\/v2\/"/)
    assert.equal((await ask(berth, 'GET', '/metrics')).status, 404)
  })

  test('skopeo and oras push and pull a large image', async () => {
    const image = anImage('behind-nginx', { layers: 3, layerBytes: 30_000_000 })
    await writeOciLayout(home.path('layout'), { v1: image })
    const certs = await prepareContainersHome(berth, home)
    await home.run(
      client('skopeo').path,
      ['login', '--cert-dir', certs, '-u', berth.username, '--password-stdin', berth.host],
      { input: berth.password },
    )
    const remote = `${berth.host}/compose/large`
    const layout = `oci:${home.path('layout')}:v1`
    await home.run(client('skopeo').path, ['copy', '--dest-cert-dir', certs, layout, `docker://${remote}:v1`])
    await assertHolds(berth, 'compose/large', 'v1', image)
    const oras = (...args: string[]) => home.run(client('oras').path, args)
    const access = [
      '--plain-http=false',
      '--ca-file',
      berth.ca,
      '--username',
      berth.username,
      '--password',
      berth.password,
    ]
    const prefixed = (prefix: string) => access.map((flag) => flag.replace(/^--/, `--${prefix}-`))
    await oras('cp', ...prefixed('from'), '--to-oci-layout', `${remote}:v1`, `${home.path('back')}:v1`)
    for (const { bytes, descriptor } of contentsOf(image)) {
      const copied = await readFile(home.path('back', 'blobs', 'sha256', hex(descriptor.digest)))
      assert.ok(copied.equals(bytes), descriptor.digest)
    }
    await oras('cp', '--from-oci-layout', ...prefixed('to'), `${home.path('back')}:v1`, `${remote}:again`)
    await assertHolds(berth, 'compose/large', 'again', image)
  })

  test('an upload is handed on while it comes in, whatever its size', async () => {
    // Were it kept back until it is whole, the node could not refuse it now.
    const path = '/v2/compose/streamed/blobs/uploads/00000000-0000-8000-8000-000000000000'
    const gigabytes = 3_000_000_000
    const credential = Buffer.from(`${berth.username}:${berth.password}`).toString('base64')
    const upload = request(`https://${berth.host}${path}`, {
      method: 'PATCH',
      agent: new Agent(),
      ca: await readFile(berth.ca),
      headers: { authorization: `Basic ${credential}`, 'content-length': gigabytes },
    })
    upload.on('error', () => undefined) // cut by us, below
    upload.write(randomBytesOf('streamed', 100_000))
    const [answer] = (await once(upload, 'response', { signal: AbortSignal.timeout(20_000) })) as [IncomingMessage]
    upload.destroy()
    assert.equal(answer.statusCode, 404)
  })

  test('an upload begun on one node goes on and ends on the other', async () => {
    const bytes = randomBytesOf('handed over', 12_000_000)
    const half = bytes.length / 2
    const [one, two] = cluster.nodes
    const authorization = `Basic ${Buffer.from(`${berth.username}:${berth.password}`).toString('base64')}`
    const send = (port: number | undefined, method: string, path: string, body?: Uint8Array) =>
      fetchOnce(`http://127.0.0.1:${port}${path}`, { method, headers: { host: berth.host, authorization } }, body)
    const begun = await send(one?.port, 'POST', '/v2/compose/handed/blobs/uploads/')
    const first = await send(two?.port, 'PATCH', begun.headers.location ?? '', bytes.subarray(0, half))
    assert.equal(first.status, 202, first.body.toString())
    const second = await send(one?.port, 'PATCH', first.headers.location ?? '', bytes.subarray(half))
    assert.equal(second.status, 202, second.body.toString())
    const ended = await send(two?.port, 'PUT', closing(second.headers.location ?? '', sha256(bytes)))
    assert.equal(ended.status, 201, ended.body.toString())
    assert.ok((await getBlob(berth, 'compose/handed', sha256(bytes))).equals(bytes))
  })

  test('nodes are replaced one after the other: pulls go on, and a push is at most tried again', async () => {
    const image = anImage('rolling', { layers: 2, layerBytes: 1_000_000 })
    await pushImage(berth, 'compose/rolling', 'v1', image)
    const over = new AbortController()
    const failures: string[] = []
    let [pulls, pushes, repeated] = [0, 0, 0]
    const pulling = async () => {
      for (; !over.signal.aborted; pulls++) {
        await assertHolds(berth, 'compose/rolling', 'v1', image).catch((error: Error) => failures.push(error.message))
      }
    }
    const pushing = async () => {
      for (; !over.signal.aborted; pushes++) {
        const another = anImage(`rolling-${pushes}`, { layers: 1, layerBytes: 200_000 })
        const push = () => pushImage(berth, 'compose/rolling', `p${pushes}`, another)
        // Of a body that was on its way to the node just then, the balancer has nothing left to send again.
        const again = (error: Error) => {
          repeated++
          return /502/.test(error.message) ? push() : Promise.reject(error)
        }
        await push()
          .catch(again)
          .catch((error: Error) => failures.push(error.message))
      }
    }
    const clients = [pulling(), pulling(), pushing()]
    try {
      for (const node of cluster.nodes) {
        await node.stop()
        await node.start()
        await until('it is given requests again', () => node.log.includes('"path":"/v2/compose/rolling/'))
      }
    } finally {
      over.abort()
      await Promise.all(clients)
    }
    assert.deepEqual(failures, [], cluster.balancerLog)
    assert.ok(pulls >= 4 && pushes >= 2, `${pulls} pulls, ${pushes} pushes`)
    assert.ok(repeated <= cluster.nodes.length, `${repeated} of ${pushes} pushes had to be tried again`)
  })
})
