/** A whole server in this process for route tests: memory back ends (or a temporary folder), a clock set by hand, a free port on loopback. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type App, type Backends, createApp } from '../src/app.ts'
import { manualClock } from '../src/base/clock.ts'
import { type Log, silentLog } from '../src/base/log.ts'
import type { Config } from '../src/config/config.ts'
import type { RegistrySettings } from '../src/core/directory/registries.ts'
import { openTestBlobs } from './blobs.ts'
import { openTestDatabase } from './database.ts'

export interface TestApp extends App {
  readonly clock: ReturnType<typeof manualClock>
  readonly port: number
  /** `localhost:<port>`, which stands for the registry `berth`. */
  readonly host: string
  /** The admin user's `Authorization`. */
  readonly admin: string
  readonly password: string
  /** A request as the admin user, unless `init.headers` has an authorization of its own (empty: none). */
  fetch(path: string, init?: RequestInit): Promise<Response>
}

export const testSettings: RegistrySettings = {
  sku: 'Premium',
  adminUserEnabled: true,
  anonymousPullEnabled: false,
  sparseManifestsEnabled: false,
}

/** `BERTH_TEST_STORAGE=disk`: the same tests on a file and a folder; see e2e/on-disk.test.ts. `DB` and `BLOBS` name other ones. */
const onDisk = process.env.BERTH_TEST_STORAGE === 'disk'

/** Ends with the test: `await using app = await startTestApp()`. */
export async function startTestApp(
  settings: Partial<RegistrySettings> = {},
  given: Partial<Backends> & { log?: Log; config?: Partial<Config> } = {},
): Promise<TestApp & AsyncDisposable> {
  const clock = manualClock()
  const server = createServer((message, response) => app.handler.handle(message, response))
  server.on('checkContinue', (message, response) => app.handler.handle(message, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const config: Config = {
    host: '127.0.0.1',
    port,
    domain: 'localhost',
    publicPort: port,
    dataFolder: '/nowhere',
    secretKey: '/nowhere/secret.key',
    tls: { kind: 'none' },
    workers: 1,
    drainSeconds: 0,
    trustedProxies: [],
    blobs: { kind: 'memory' },
    db: { kind: 'sqlite', file: ':memory:' },
    collection: { intervalMs: 'off', graceMs: 86_400_000, uploadExpiryMs: 604_800_000 },
    scrub: { periodMs: 'off' },
    log: { level: 'silent', format: 'json' },
    ...given.config,
  }
  const surroundings = {
    log: given.log ?? silentLog,
    keys: { seal: randomBytes(32), uploadSessions: randomBytes(32) },
    observe: () => undefined,
    metrics: async () => ({ contentType: 'text/plain', text: '' }),
  }
  await using opening = new AsyncDisposableStack()
  const folder = onDisk ? opening.use(await temporaryFolder()).path : undefined
  const backends = {
    db:
      given.db ??
      (await openTestDatabase({ clock, ...(folder === undefined ? {} : { file: join(folder, 'berth.db') }) })),
    blobs: given.blobs ?? (await openTestBlobs(folder === undefined ? {} : { folder: join(folder, 'blobs') })),
    clock,
    wait: given.wait ?? (async () => undefined),
  }
  const app = await createApp(config, surroundings, backends)
  await app.registries.createRegistry('berth', { ...testSettings, ...settings })
  const [first] = await app.registries.listPasswords('berth')
  const password = first?.value ?? ''
  const storage = opening.move()
  const admin = `Basic ${Buffer.from(`berth:${password}`).toString('base64')}`
  return {
    ...app,
    clock,
    port,
    host: `localhost:${port}`,
    admin,
    password,
    fetch(path, init = {}) {
      const headers = new Headers(init.headers)
      if (!headers.has('authorization')) headers.set('authorization', admin)
      if (headers.get('authorization') === '') headers.delete('authorization')
      return fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual', ...init, headers })
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await app.dispose()
      await storage.disposeAsync()
    },
  }
}

async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'berth-app-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}
