import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../server/test/free-port.ts'
import { projectFolder } from '../folders.ts'
import { runProgram } from '../load/run-program.ts'
import { createWire, expectStatus, pushBlob, pushManifest } from '../load/wire.ts'
import { copyManifests, copyRepositories } from '../seed/berth-rows.ts'
import { sha256 } from '../seed/images.ts'
import type { Access, FoundProgram, Registry, RegistryKind } from './registry.ts'
import { serverProcess } from './server-process.ts'

export const berthName = 'berth'

export interface Berth extends Registry {
  /** From now on anybody may ask for a token to pull with. */
  allowAnonymousPull(): Promise<void>
  /** Runs `berth <command>` on its data folder; what it printed. Throws when it fails. */
  command(...argumentList: readonly string[]): Promise<string>
}

export interface BerthOptions {
  /** Of the checkout to run. */
  readonly source: string
  readonly workers: number
  /** Variables, for its commands too. */
  readonly environment?: Readonly<Record<string, string>>
}

export const isBerth = (registry: Registry): registry is Berth => registry.kind.name === berthName

export function berthKind({ source, workers }: BerthOptions): RegistryKind {
  const kind: RegistryKind = {
    name: berthName,
    configuration: `${workers} workers, log level warn; auth cannot be turned off: a token is checked on every request, with zb the password`,
    syncs: 'all of it',
    async find() {
      const main = mainOf(source)
      if (
        !(await access(main).then(
          () => true,
          () => false,
        ))
      )
        return { missing: `no ${main}` }
      const { version } = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string }
      const found: FoundProgram = {
        version: `${version}${await revisionOf(source)}, Node ${process.version}`,
        open: (folder) => openBerth(kind, { source, workers }, folder),
      }
      return found
    },
  }
  return kind
}

const mainOf = (source: string) => join(source, 'cli', 'src', 'main.ts')
const compileCache = { NODE_COMPILE_CACHE: join(projectFolder, '.cache', 'node-compile') }
const run = promisify(execFile)

async function revisionOf(source: string): Promise<string> {
  try {
    const git = async (...argumentList: readonly string[]) => (await run('git', ['-C', source, ...argumentList])).stdout
    const [commit, changes] = [await git('rev-parse', '--short', 'HEAD'), await git('status', '--porcelain')]
    return ` (${commit.trim()}${changes === '' ? '' : ' and changes'})`
  } catch {
    return '' // an unpacked archive
  }
}

/** Not started; the folder becomes the data folder. */
export function berthProcess(port: number, { source, workers, environment }: BerthOptions, folder: string) {
  return serverProcess(
    port,
    process.execPath,
    [
      ...[mainOf(source), 'start', '--port', String(port), '--host', '127.0.0.1', '--domain', 'localhost'],
      ...['--data', folder, '--workers', String(workers), '--log-level', 'warn'],
    ],
    { environment: { ...compileCache, ...environment }, greeting: 'Stop with Ctrl+C.' },
  )
}

/** As `berthProcess`, with what is asked of every registry. */
export async function openBerth(kind: RegistryKind, options: BerthOptions, folder: string): Promise<Berth> {
  const { source } = options
  const environment = { ...compileCache, ...options.environment }
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = berthProcess(port, options, folder)
  let credentials = { username: '', password: '' }
  const tokens = new Map<string, { readonly header: string; readonly until: number }>()

  async function start(): Promise<void> {
    await server.start()
    const text = await readFile(join(folder, 'bootstrap.json'), 'utf8')
    credentials = (JSON.parse(text) as { registry: typeof credentials }).registry
  }

  async function authorize(access: Access): Promise<string> {
    if (access.password) return basicOf(credentials)
    const key = JSON.stringify(access)
    const known = tokens.get(key)
    if (known !== undefined && known.until > performance.now()) return known.header
    const query = new URLSearchParams([['service', `127.0.0.1:${port}`], ...scopesOf(access)])
    const wire = createWire(url, access.anonymous ? undefined : basicOf(credentials))
    const answer = expectStatus(await wire.ask('GET', `/oauth2/token?${query}`), 200, 'the token endpoint')
    wire.close()
    const { access_token } = JSON.parse(answer.body.toString('utf8')) as { access_token: string }
    const header = `Bearer ${access_token}`
    tokens.set(key, { header, until: performance.now() + tokenUseMs })
    return header
  }

  const command = async (...argumentList: readonly string[]): Promise<string> => {
    const all = [mainOf(source), ...argumentList, '--data', folder]
    const { stdout, stderr, exitCode } = await runProgram(process.execPath, all, { timeoutSeconds: 600, environment })
    if (exitCode !== 0)
      throw new Error(`berth ${argumentList.join(' ')} failed: ${(stderr.trim() || stdout.trim()).slice(-2000)}`)
    return stdout
  }

  /** Starts it for as long as it takes to push what the rows are copied from. */
  async function pushTemplates(
    repository: string,
    push: (wire: ReturnType<typeof createWire>) => Promise<void>,
  ): Promise<void> {
    await start()
    const wire = createWire(url, await authorize({ repositories: [repository], actions: 'pull,push' }))
    await push(wire)
    wire.close()
    await server.stop()
  }

  return {
    kind,
    folder,
    url,
    tlsUrl: `https://127.0.0.1:${port}`,
    get credentials() {
      return credentials
    },
    get group() {
      return server.group
    },
    authorize,
    start,
    stop: server.stop,
    command,
    async allowAnonymousPull() {
      await command('registry', 'berth', '--anonymous-pull', 'on')
    },
    async seedManifests(many) {
      await pushTemplates(many.repository, async (wire) => {
        for (const blob of many.blobs) await pushBlob(wire, many.repository, sha256(blob), blob)
        if (many.subject !== undefined) await pushManifest(wire, many.repository, many.subject)
        await pushManifest(wire, many.repository, many.manifestAt(0))
      })
      await copyManifests(join(folder, 'berth.db'), many)
    },
    async seedRepositories(many) {
      await pushTemplates(many.nameAt(0), (wire) => pushManifest(wire, many.nameAt(0), many.manifest))
      await copyRepositories(join(folder, 'berth.db'), many)
    },
  }
}

/** A fraction of a token's life. */
const tokenUseMs = 15 * 60 * 1000

const basicOf = ({ username, password }: { username: string; password: string }): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

const scopesOf = ({ repositories = [], actions = 'pull', catalog = false }: Access): [string, string][] => [
  ...repositories.map((name): [string, string] => ['scope', `repository:${name}:${actions}`]),
  ...(catalog ? [['scope', 'registry:catalog:*'] as [string, string]] : []),
]
