/**
 * PostgreSQL for tests: Debian's own program on a temporary folder and a free port of loopback, with a password and fsync.
 * `BERTH_TEST_POSTGRES` names one that runs already (scripts/test.mjs sets it for a whole run); else each process starts
 * one when it needs it, and ends it with itself.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync, rmSync } from 'node:fs'
import { chown, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { PostgresServer } from '../src/backends/db/postgres-server.ts'
import type { CertificatePair } from '../src/tls/certificate-pair.ts'
import { freePort } from './free-port.ts'

export interface TestPostgres {
  /** One of its databases, with its owner's password. */
  serverOf(database: string): PostgresServer
  /** The same as an address for `--database`. */
  urlOf(database: string): string
}

export interface OwnPostgres extends TestPostgres, AsyncDisposable {
  /** Ends it; `immediate` as a crash does. Its data stays. */
  stop(how?: 'fast' | 'immediate'): Promise<void>
  /** On the same data and port. */
  start(): Promise<void>
}

/** The folder of its programs, the newest version's; undefined where it is not installed. */
export function findPostgres(): string | undefined {
  const folders = globSync('/usr/lib/postgresql/*/bin').filter((folder) => existsSync(join(folder, 'initdb')))
  return folders.sort((one, other) => one.localeCompare(other, 'en', { numeric: true })).at(-1)
}

/** Why PostgreSQL is not tried here, or false. */
export const postgresSkip: string | false =
  process.env.BERTH_TEST_POSTGRES !== undefined || findPostgres() !== undefined
    ? false
    : 'PostgreSQL is not installed (Debian: apt-get install postgresql)'

let shared: Promise<TestPostgres> | undefined

/** The one that all tests of this process use. */
export function testPostgres(): Promise<TestPostgres> {
  const running = process.env.BERTH_TEST_POSTGRES
  shared ??= running === undefined ? startPostgres() : Promise.resolve(accessTo(new URL(running)))
  return shared
}

const user = 'berth'
const running = new Map<ChildProcess, string>()

/**
 * One that belongs to the caller alone, who may stop it and start it again.
 * certificate: makes it speak TLS to whoever asks for it.
 */
export async function startPostgres(certificate?: CertificatePair): Promise<OwnPostgres> {
  const programs = findPostgres()
  if (programs === undefined) throw new Error(String(postgresSkip))
  endAllWithThisProcess()
  const folder = await mkdtemp(join(tmpdir(), 'berth-postgres-'))
  const owner = ownerOf()
  if (owner.uid !== undefined) await chown(folder, owner.uid, owner.gid ?? owner.uid)
  const data = join(folder, 'data')
  const password = randomBytes(12).toString('hex')
  await writeFile(join(folder, 'password'), password, { mode: 0o644 })
  // A language whose order of letters is not that of bytes, so that nothing leans on the server's.
  const order = ['--encoding=UTF8', '--locale=C.UTF-8', '--locale-provider=icu', '--icu-locale=en-US']
  const access = ['--auth=scram-sha-256', `--username=${user}`, `--pwfile=${join(folder, 'password')}`]
  execFileSync(join(programs, 'initdb'), ['--pgdata', data, '--no-sync', ...order, ...access], {
    ...owner,
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  rmSync(join(folder, 'password'))
  const tls = certificate === undefined ? {} : await writeCertificate(folder, certificate, owner)
  const port = await freePort()
  const url = new URL(`postgres://${user}:${password}@127.0.0.1:${port}/postgres?sslmode=disable`)
  let child: ChildProcess | undefined

  async function start(): Promise<void> {
    const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: folder, max_connections: 300 }
    const flags = Object.entries({ ...settings, ...tls }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const program = join(programs!, 'postgres')
    // The system ends it also when this process is killed.
    const setpriv = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'QUIT', program] : [program]
    const [command = program, ...first] = setpriv
    const started = spawn(command, [...first, '-D', data, '-c', 'logging_collector=on', ...flags], {
      ...owner,
      cwd: folder,
      stdio: 'ignore',
    })
    started.unref()
    running.set(started, folder)
    child = started
    const deadline = performance.now() + 30_000
    while (!(await answers(url))) {
      if (started.exitCode !== null || performance.now() > deadline) throw new Error(lastWords(data))
      await pause(20)
    }
  }

  async function stop(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.ref()
    child.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await ended
    running.delete(child)
  }

  await start()
  return {
    ...accessTo(url),
    start,
    stop,
    async [Symbol.asyncDispose]() {
      await stop('immediate')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function accessTo(url: URL): TestPostgres {
  const [name, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)]
  return {
    serverOf: (database) => ({
      host: url.hostname,
      port: Number(url.port),
      user: name,
      password,
      database,
      tls: 'disable',
    }),
    urlOf(database) {
      const address = new URL(url)
      address.pathname = `/${database}`
      return address.href
    },
  }
}

/** Runs statements on one of its databases as a program beside ours would. */
export async function onPostgres<T>(server: PostgresServer, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const { host, port, user: name, password, database } = server
  const client = new pg.Client({ host, port, user: name, password, database })
  client.on('error', () => undefined) // told by the query that was under way
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function writeCertificate(folder: string, { certificate, key }: CertificatePair, owner: Owner) {
  const files = { ssl_cert_file: join(folder, 'server.crt'), ssl_key_file: join(folder, 'server.key') }
  await writeFile(files.ssl_cert_file, certificate)
  await writeFile(files.ssl_key_file, key, { mode: 0o600 })
  if (owner.uid !== undefined) await chown(files.ssl_key_file, owner.uid, owner.gid ?? owner.uid)
  return { ssl: 'on', ...files }
}

interface Owner {
  readonly uid?: number
  readonly gid?: number
}

/** It refuses to run as root. */
function ownerOf(): Owner {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

async function answers(url: URL): Promise<boolean> {
  const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

function lastWords(data: string): string {
  const logs = globSync(join(data, 'log', '*.log'))
  return `PostgreSQL did not start:\n${logs.map((log) => readFileSync(log, 'utf8').slice(-2000)).join('\n')}`
}

/** While a server ends, it still writes; and at the end of a process nothing can be awaited. */
function removeInTheEnd(folder: string): void {
  for (let tries = 0; tries < 100 && existsSync(folder); tries++) {
    try {
      rmSync(folder, { recursive: true, force: true }) // does not always say when something was left
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
    }
    if (existsSync(folder)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
  }
}

let armed = false
function endAllWithThisProcess(): void {
  if (armed) return
  armed = true
  process.on('exit', () => {
    for (const child of running.keys()) child.kill('SIGQUIT')
    for (const folder of running.values()) removeInTheEnd(folder)
  })
  // The test runner ends a file that takes too long with SIGTERM, which by itself skips the `exit` event.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}
