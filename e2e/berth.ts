/** The real program, started as a user starts it, on a free port with an empty data folder. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlobFlags, blobFlags } from '../server/test/blobs.ts'
import { databaseFlags } from '../server/test/database.ts'
import { freePort } from '../server/test/free-port.ts'
import { repositoryFolder } from './clients/folders.ts'
import { startProcessGroup } from './process-group.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface Berth extends AsyncDisposable {
  readonly port: number
  /** `localhost:PORT`: the authority that clients put before a repository. */
  readonly host: string
  /** Path of the PEM of the certificate authority that signed the server's certificate. */
  readonly ca: string
  readonly username: string
  readonly password: string
  readonly dataFolder: string
  readonly pid: number
  /** What the server wrote so far, for failure messages. */
  readonly log: string
  readonly bootstrap: Bootstrap
  /** Asks the server to end, as Ctrl-C does. The data folder stays until disposal. */
  stop(): Promise<void>
  /** Ends the server and its workers at once, as a power cut does. */
  kill(): Promise<void>
  /** Starts the same server again on the same data and port. */
  restart(): Promise<void>
}

/** `<data>/bootstrap.json`, as far as the stories use it. */
export interface Bootstrap {
  readonly endpoint: string
  readonly caCertificate: string
  readonly tenantId: string
  readonly subscriptionId: string
  readonly resourceGroup: string
  readonly clientId: string
  readonly clientSecret: string
  readonly registry: {
    readonly name: string
    readonly loginServer: string
    readonly username: string
    readonly password: string
  }
}

export interface StartOptions {
  /** Further flags of `berth start`. */
  readonly flags?: readonly string[]
  readonly workers?: number
  /** Where it keeps blobs, when not where all of this run's servers do. */
  readonly blobs?: () => Promise<BlobFlags>
}

/** Disposal stops it and removes its data. Whatever happens to the test, the server does not outlive its process. */
export async function startBerth({
  flags = [],
  workers = 2,
  blobs: startBlobs = blobFlags,
}: StartOptions = {}): Promise<Berth> {
  await using starting = new AsyncDisposableStack()
  const { folder: dataFolder } = starting.use(await temporaryFolder('data'))
  const database = starting.use(await databaseFlags())
  const blobs = await startBlobs()
  const port = await freePort()
  const start = async () => {
    const argumentList = [
      join(repositoryFolder, 'cli', 'src', 'main.ts'),
      'start',
      ...['--port', String(port), '--data', dataFolder, '--domain', 'localhost'],
      ...['--host', '127.0.0.1', '--workers', String(workers), ...database.flags, ...blobs.flags, ...flags],
    ]
    const server = startProcessGroup(process.execPath, argumentList, { ...process.env, ...blobs.env })
    await server.ready(() => isHealthy(port), 60)
    return server
  }
  let server = await start()
  starting.defer(() => server.stop())
  const bootstrap = JSON.parse(await readFile(join(dataFolder, 'bootstrap.json'), 'utf8')) as Bootstrap
  const started = starting.move()
  return {
    port,
    host: `localhost:${port}`,
    ca: bootstrap.caCertificate,
    username: bootstrap.registry.username,
    password: bootstrap.registry.password,
    dataFolder,
    bootstrap,
    get pid() {
      return server.pid
    },
    get log() {
      return server.log
    },
    stop: () => server.stop(),
    kill: () => server.kill(),
    async restart() {
      await server.stop()
      server = await start()
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  }
}

export const isHealthy = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(2000) }).then(
    async (response) => {
      await response.body?.cancel()
      return response.status === 200
    },
    () => false,
  )
