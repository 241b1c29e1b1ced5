/**
 * What `deploy/compose` starts in containers, started here as processes on loopback, from the same files: its script, its
 * Berth configuration, its nginx configuration, its command for the object store. Only addresses and paths are others.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { freePort } from '../server/test/free-port.ts'
import { startPostgres } from '../server/test/postgres.ts'
import type { Berth, Bootstrap } from './berth.ts'
import { clientBinFolder, repositoryFolder } from './clients/folders.ts'
import { client } from './clients/index.ts'
import { type ProcessGroup, startProcessGroup } from './process-group.ts'
import { fetchOnce } from './program.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const composeFolder = join(repositoryFolder, 'deploy', 'compose')

/** As far as the tests look at it. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
  readonly networks: {
    readonly default: { readonly ipam: { readonly config: readonly { readonly subnet: string }[] } }
  }
}

export interface ComposeService {
  readonly image?: string
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly secrets?: readonly string[]
  readonly networks?: { readonly default: { readonly ipv4_address: string } }
  readonly stop_grace_period?: string
  readonly healthcheck?: unknown
  readonly restart?: string
}

export const readCompose = async (): Promise<ComposeFile> =>
  parse(await readFile(join(composeFolder, 'compose.yaml'), 'utf8'), { merge: true }) as ComposeFile

/** Runs `prepare.sh` in a copy of the folder, and returns the folder of secrets. */
export async function prepareSecrets(home: string, domain: string): Promise<string> {
  await mkdir(home, { recursive: true })
  await cp(join(composeFolder, 'prepare.sh'), join(home, 'prepare.sh'))
  await promisify(execFile)(join(home, 'prepare.sh'), [domain])
  return join(home, 'secrets')
}

export interface Nodes extends AsyncDisposable {
  /** The balancer, as the clients of the tests know a registry. */
  readonly berth: Pick<Berth, 'host' | 'ca' | 'username' | 'password'>
  readonly nodes: readonly Node[]
  /** What the balancer wrote so far: its errors. */
  readonly balancerLog: string
}

export interface Node {
  readonly port: number
  readonly log: string
  /** Asks it to end, as an orchestrator does, and waits until it has. */
  stop(): Promise<void>
  /** On the same data and port; resolves when it is ready. */
  start(): Promise<void>
}

/** Why this cannot be done here is in the clients' `skip` and in `postgresSkip`. */
export async function startCompose(): Promise<Nodes> {
  await using starting = new AsyncDisposableStack()
  const { folder } = starting.use(await temporaryFolder('compose'))
  const secrets = await prepareSecrets(join(folder, 'compose'), 'localhost')
  const database = starting.use(await startPostgres())
  const storePort = await startStore(starting, folder, secrets)
  const config = join(folder, 'berth.yaml')
  await rewrite(join(secrets, 'berth.yaml'), config, [
    [/postgres:\/\/berth:\S+@postgres\/berth\?sslmode=disable/, database.urlOf('postgres')],
    ['http://store:7070', `http://127.0.0.1:${storePort}`],
    ['/run/secrets/', `${secrets}/`],
    ['172.30.53.10', '127.0.0.1'],
    ['host: 0.0.0.0', 'host: 127.0.0.1'],
  ])
  const env = { AWS_SHARED_CREDENTIALS_FILE: join(secrets, 's3-credentials') }
  const nodes: Node[] = []
  for (const name of ['berth-1', 'berth-2']) {
    nodes.push(await startNode(starting, join(folder, name), { ...env, BERTH_CONFIG: config }))
  }
  const { port, nginx } = await startNginx(starting, folder, secrets, nodes)
  const bootstrap = JSON.parse(await readFile(join(folder, 'berth-1', 'bootstrap.json'), 'utf8')) as Bootstrap
  const { username, password } = bootstrap.registry
  const started = starting.move()
  return {
    berth: { host: `localhost:${port}`, ca: join(secrets, 'tls.crt'), username, password },
    nodes,
    get balancerLog() {
      return nginx.log
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

/** The very command of the service; `$$` is how Compose writes `$`. */
async function startStore(starting: AsyncDisposableStack, folder: string, secrets: string): Promise<number> {
  const port = await freePort()
  const script = ((await readCompose()).services.store?.command?.[0] ?? '')
    .replaceAll('$$', '$')
    .replaceAll('/run/secrets/', `${secrets}/`)
    .replaceAll(':7070', `127.0.0.1:${port}`)
    .replaceAll('/data', join(folder, 'store'))
  const PATH = `${clientBinFolder}:${process.env.PATH}`
  const store = starting.use(startProcessGroup('/bin/sh', ['-euc', script], { PATH }))
  await store.ready(() => isOk(`http://127.0.0.1:${port}/health`), 30)
  return port
}

async function startNode(
  starting: AsyncDisposableStack,
  dataFolder: string,
  env: Readonly<Record<string, string>>,
): Promise<Node> {
  const port = await freePort()
  const main = join(repositoryFolder, 'cli', 'src', 'main.ts')
  const flags = ['--data', dataFolder, '--port', String(port), '--workers', '1']
  const others = Object.entries(process.env).filter(([name]) => !/^(?:BERTH|AWS)_/.test(name))
  let server: ProcessGroup
  const start = async () => {
    server = startProcessGroup(process.execPath, [main, 'start', ...flags], { ...Object.fromEntries(others), ...env })
    await server.ready(() => isOk(`http://127.0.0.1:${port}/readyz`), 60)
  }
  await start()
  starting.defer(() => server.stop())
  return {
    port,
    get log() {
      return server.log
    },
    stop: () => server.stop(),
    start,
  }
}

async function startNginx(
  starting: AsyncDisposableStack,
  folder: string,
  secrets: string,
  nodes: readonly Node[],
): Promise<{ port: number; nginx: ProcessGroup }> {
  const [port, healthPort] = [await freePort(), await freePort()]
  const file = join(folder, 'nginx.conf')
  await mkdir(join(folder, 'nginx'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (what) => `${what}_temp_path ${join(folder, 'nginx', what)};`,
  )
  await rewrite(join(composeFolder, 'nginx.conf'), file, [
    ['172.30.53.11:8080', `127.0.0.1:${nodes[0]?.port}`],
    ['172.30.53.12:8080', `127.0.0.1:${nodes[1]?.port}`],
    ['listen 443 ssl', `listen 127.0.0.1:${port} ssl`],
    ['listen [::]:443 ssl', `listen [::1]:${port} ssl`],
    ['127.0.0.1:8081', `127.0.0.1:${healthPort}`],
    ['/run/secrets/', `${secrets}/`],
    ['/run/nginx.pid', join(folder, 'nginx', 'pid')],
    ['http {', `http {\n${temporary.join('\n')}`],
  ])
  const nginx = starting.use(startProcessGroup(client('nginx').path, ['-c', file, '-g', 'daemon off;'], process.env))
  await nginx.ready(() => isOk(`http://127.0.0.1:${healthPort}/`), 30)
  return { port, nginx }
}

/** Every text must be there: what this file says about the others must stay true. */
async function rewrite(
  from: string,
  to: string,
  replacements: readonly (readonly [string | RegExp, string])[],
): Promise<void> {
  let text = await readFile(from, 'utf8')
  for (const [what, by] of replacements) {
    if (!(typeof what === 'string' ? text.includes(what) : what.test(text))) throw new Error(`${from} lacks ${what}`)
    text = typeof what === 'string' ? text.replaceAll(what, by) : text.replace(what, by)
  }
  await writeFile(to, text)
}

const isOk = (url: string): Promise<boolean> =>
  fetchOnce(url, { timeout: 2_000 }).then(
    ({ status }) => status === 200,
    () => false,
  )
