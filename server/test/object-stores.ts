/**
 * Object stores for tests: versitygw for S3, Azurite for Azure Blob Storage, each on a temporary folder and a free port of
 * loopback. Each process starts them when it needs them, and ends them with itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants, existsSync, mkdirSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import type { AzureBlobOptions } from '../src/backends/blobs/azure-blob.ts'
import type { S3Options } from '../src/backends/blobs/s3.ts'
import { freePort } from './free-port.ts'

/** A server of one's own, which may be stopped and started again on the same data and port. */
export interface TestStore<Options> extends AsyncDisposable {
  readonly port: number
  /** Of a new, empty place in it. port: of a gate before it. */
  options(port?: number): Options
  stop(): Promise<void>
  start(): Promise<void>
}

const root = resolve(import.meta.dirname, '../..')
const clientsFolder = join(root, '.cache', 'clients')

function findProgram(name: string): string | undefined {
  const folders = [join(clientsFolder, 'bin'), ...(process.env.PATH ?? '').split(delimiter)].filter(
    (folder) => folder !== '',
  )
  return folders.map((folder) => join(folder, name)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Why S3 is not tried here, or false. */
export const s3Skip: string | false =
  findProgram('versitygw') !== undefined ? false : 'versitygw is not installed: run `node e2e/clients/install.ts`'

const bucket = 'berth-test'

/** What the SDK would find in the environment. */
export const s3Credentials = { accessKeyId: 'berth-test', secretAccessKey: randomBytes(20).toString('hex') }

let sharedS3: Promise<TestStore<S3Options>> | undefined

/** The one that all tests of this process use. */
export function testS3(): Promise<TestStore<S3Options>> {
  sharedS3 ??= startS3()
  return sharedS3
}

export async function startS3(): Promise<TestStore<S3Options>> {
  const program = findProgram('versitygw')
  if (program === undefined) throw new Error(String(s3Skip))
  const folder = await mkdtemp(join(tmpdir(), 'berth-s3-'))
  const [data, notes] = [join(folder, 'data'), join(folder, 'notes')]
  mkdirSync(join(data, bucket), { recursive: true })
  mkdirSync(notes)
  const port = await freePort()
  const flags = ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive']
  const server = serverOf(folder, `http://127.0.0.1:${port}`, program, [...flags, 'posix', '--sidecar', notes, data], {
    ROOT_ACCESS_KEY: s3Credentials.accessKeyId,
    ROOT_SECRET_KEY: s3Credentials.secretAccessKey,
  })
  await server.start()
  return {
    ...server,
    port,
    options: (at = port) => ({
      bucket,
      prefix: `${randomBytes(8).toString('hex')}/`,
      endpoint: `http://127.0.0.1:${at}`,
      pathStyle: true,
      credentials: s3Credentials,
    }),
  }
}

const azurite = join(clientsFolder, 'npm', 'azurite', 'node_modules', 'azurite', 'dist', 'src', 'blob', 'main.js')

/** Why Azure Blob Storage is not tried here, or false. */
export const azureSkip: string | false = existsSync(azurite)
  ? false
  : 'azurite is not installed: run `node e2e/clients/install.ts`'

const account = 'berthtest'
const container = 'berth-test'

/** What the store would find in the environment. */
export const azureCredentials = { AZURE_STORAGE_KEY: randomBytes(64).toString('base64') }

let sharedAzure: Promise<TestStore<AzureBlobOptions>> | undefined

/** The one that all tests of this process use. */
export function testAzure(): Promise<TestStore<AzureBlobOptions>> {
  sharedAzure ??= startAzure()
  return sharedAzure
}

/** tls: PEM files of a certificate for 127.0.0.1 that signs itself; then tokens of whoever say they are Entra's are believed. */
export async function startAzure(tls?: {
  readonly certificate: string
  readonly key: string
}): Promise<TestStore<AzureBlobOptions>> {
  if (azureSkip !== false) throw new Error(azureSkip)
  const folder = await mkdtemp(join(tmpdir(), 'berth-azure-'))
  const port = await freePort()
  const flags = ['--blobHost', '127.0.0.1', '--blobPort', String(port), '--location', folder, '--silent']
  const secure = tls ? ['--oauth', 'basic', '--cert', tls.certificate, '--key', tls.key] : []
  const base = `${tls ? 'https' : 'http'}://127.0.0.1`
  const server = serverOf(
    folder,
    `${base}:${port}`,
    process.execPath,
    [azurite, ...flags, ...secure, '--disableTelemetry'],
    {
      AZURITE_ACCOUNTS: `${account}:${azureCredentials.AZURE_STORAGE_KEY}`,
    },
  )
  await server.start()
  const options = (at = port): AzureBlobOptions => ({
    account,
    container,
    prefix: `${randomBytes(8).toString('hex')}/`,
    endpoint: `${base}:${at}/${account}`,
    env: azureCredentials,
  })
  const { ContainerClient, StorageSharedKeyCredential } = await import('@azure/storage-blob')
  const key = new StorageSharedKeyCredential(account, azureCredentials.AZURE_STORAGE_KEY)
  await new ContainerClient(`${options().endpoint}/${container}`, key).create()
  return { ...server, port, options }
}

const running = new Map<ChildProcess, string>()

function serverOf(
  folder: string,
  address: string,
  program: string,
  argumentList: readonly string[],
  env: Readonly<Record<string, string>>,
) {
  endAllWithThisProcess()
  let child: ChildProcess | undefined
  let log = ''

  async function start(): Promise<void> {
    // The system ends it also when this process is killed.
    const setpriv = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL', program] : [program]
    const [command = program, ...first] = setpriv
    const started = spawn(command, [...first, ...argumentList], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    started.unref()
    for (const output of [started.stdout, started.stderr]) {
      output.setEncoding('utf8').on('data', (text: string) => {
        log = (log + text).slice(-4000)
      })
      ;(output as unknown as { unref(): void }).unref()
    }
    running.set(started, folder)
    child = started
    const deadline = performance.now() + 30_000
    while (!(await answers(address))) {
      if (started.exitCode !== null || performance.now() > deadline)
        throw new Error(`${program} did not start:\n${log}`)
      await pause(20)
    }
  }

  async function stop(): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.ref()
    child.kill('SIGTERM') // Azurite writes what it knows when it ends
    const cut = setTimeout(() => child?.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(cut)
    running.delete(child)
  }

  return {
    start,
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const answers = (address: string) =>
  fetch(address, { signal: AbortSignal.timeout(2_000) }).then(
    async (response) => {
      await response.body?.cancel()
      return true
    },
    () => false,
  )

let armed = false
function endAllWithThisProcess(): void {
  if (armed) return
  armed = true
  process.on('exit', () => {
    for (const child of running.keys()) child.kill('SIGKILL')
    for (const folder of running.values()) rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
  })
  // The test runner ends a file that takes too long with SIGTERM, which by itself skips the `exit` event.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}
