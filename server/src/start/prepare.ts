/** What must be there before the first request: data folder, secret, database, certificates, first tenant. */
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, constants, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import { ensureFolder } from '../base/ensure-folder.ts'
import { firstRegistry } from '../base/host-names.ts'
import { sealerOf } from '../base/seal.ts'
import { createSecret, type Keys, loadKeys } from '../base/secret-key.ts'
import type { Config } from '../config/config.ts'
import { createSigningKeys } from '../core/access/signing-keys.ts'
import { foundFirstTenant } from '../core/directory/founding.ts'
import { createRegistries, type Registries } from '../core/directory/registries.ts'
import { releaseDeadClaims } from '../core/registry/uploads.ts'
import { ListenError, probePort } from '../http/listener.ts'
import { openLocalAuthority } from '../tls/open-tls.ts'
import {
  type Addresses,
  type Bootstrap,
  bootstrapOf,
  readBootstrap,
  refreshed,
  writeBootstrap,
} from './bootstrap-file.ts'
import { type FolderLock, lockFolder } from './folder-lock.ts'
import { writeLastStart } from './last-start.ts'
import { StartError } from './start-error.ts'

export interface Prepared {
  /** With the port that is really used. */
  readonly config: Config
  readonly bootstrap: Bootstrap | undefined
  readonly bootstrapFile: string
  readonly firstStart: boolean
  /** Sentences that the operator should read. */
  readonly notices: readonly string[]
  readonly lock: FolderLock
}

/** Throws `StartError` for a folder that cannot be used or is in use, and for a port that cannot be had. */
export async function prepare(given: Config): Promise<Prepared> {
  const lock = await takeFolder(given.dataFolder)
  try {
    return { ...(await prepareContents(await withPort(given))), lock }
  } catch (error) {
    lock.release()
    throw error
  }
}

async function prepareContents(config: Config): Promise<Omit<Prepared, 'lock'>> {
  const keyFile = keyFileOf(config)
  // The key is made before the database: where that is already, a new key would open nothing in it.
  if (!existsSync(config.db.file)) await naming(keyFile, createSecret(keyFile))
  const keys = await naming(keyFile, keysOf(config))
  const notices: string[] = []
  const bootstrapFile = join(config.dataFolder, 'bootstrap.json')
  const addresses = prepareTls(config, notices).then((caCertificate) => addressesOf(config, caCertificate))
  handledLater(addresses)
  const { firstStart, bootstrap } = await naming(
    config.db.file,
    prepareDatabase(config, keys, bootstrapFile, addresses),
  )
  await writeLastStart(config)
  return { config, bootstrap, bootstrapFile, firstStart, notices }
}

const addressesOf = (config: Config, caCertificate: string): Addresses => ({
  scheme: config.tls.kind === 'none' ? 'http' : 'https',
  domain: config.domain,
  port: config.publicPort,
  caCertificate,
})

const keyFileOf = (config: Config) => join(config.dataFolder, 'secret.key')

export const keysOf = (config: Config): Promise<Keys> => loadKeys(keyFileOf(config))

async function takeFolder(folder: string): Promise<FolderLock> {
  try {
    await ensureFolder(folder)
    await access(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new StartError(`cannot write to the data folder ${folder}: ${(error as Error).message}`, { cause: error })
  }
  const file = join(folder, 'berth.lock')
  const lock = await naming(
    file,
    Promise.try(() => lockFolder(file)),
  )
  if (lock === undefined) throw new StartError(`another Berth is running on the data folder ${folder}`)
  return lock
}

/** Finds out early and once whether the port can be had, and chooses a free one for port 0. */
async function withPort(config: Config): Promise<Config> {
  const port = await probePort(config.host, config.port).catch((error: unknown) => {
    throw error instanceof ListenError ? new StartError(error.message, { cause: error }) : error
  })
  return { ...config, port, publicPort: config.publicPort === 0 ? port : config.publicPort }
}

/** Returns the path of the certificate that clients must trust. */
async function prepareTls(config: Config, notices: string[]): Promise<string> {
  if (config.tls.kind === 'files') notices.push(...certificateTroubles(config, await readFile(config.tls.certificate)))
  if (config.tls.kind !== 'local-authority') return ''
  const authority = await naming(config.tls.folder, openLocalAuthority(config, config.tls.folder))
  if (authority.replaced !== undefined) notices.push(authority.replaced)
  return authority.certificateFile
}

/** What clients will hold against the operator's own certificate; it is used all the same. */
function certificateTroubles({ domain }: Config, pem: Buffer): string[] {
  const certificate = new X509Certificate(pem)
  const host = `${firstRegistry}.${domain}`
  const troubles = []
  if (certificate.validToDate.getTime() < systemClock.now()) troubles.push(`it expired on ${certificate.validTo}`)
  if (certificate.checkHost(host) === undefined) troubles.push(`it is not for ${host}`)
  return troubles.map((trouble) => `Clients will refuse the certificate of --tls-cert: ${trouble}.`)
}

/** What the workers find in the database when they begin, and the file that tells the operator about it. */
async function prepareDatabase(config: Config, keys: Keys, file: string, addresses: Promise<Addresses>) {
  const db = await openDatabase(config.db, systemClock)
  try {
    const sealer = sealerOf(keys.seal)
    const registries = createRegistries(db, sealer, systemClock)
    await releaseDeadClaims(db)
    const signingKey = createSigningKeys(db, sealer, systemClock).getSigningKey()
    handledLater(signingKey)
    const founded = await foundFirstTenant(db, registries, systemClock, async (founding) =>
      writeBootstrap(file, bootstrapOf(founding, await addresses)),
    )
    const bootstrap = await refreshBootstrap(file, registries, await addresses)
    await signingKey
    return { firstStart: founded !== undefined, bootstrap }
  } finally {
    await db.dispose()
  }
}

/** Brings the file up to date with flags and password, where the operator has not put it away. */
async function refreshBootstrap(file: string, registries: Registries, addresses: Addresses) {
  const existing = await naming(file, readBootstrap(file))
  if (existing === undefined) return undefined
  const passwords = await registries.listPasswords(existing.registry.name)
  const password = passwords.find(({ name }) => name === 'password')?.value ?? existing.registry.password
  const bootstrap = refreshed(existing, addresses, password)
  if (JSON.stringify(bootstrap) !== JSON.stringify(existing)) await writeBootstrap(file, bootstrap)
  return bootstrap
}

/** What cannot be read or written is for the operator to know, by the name of the file; a bug keeps its stack trace. */
async function naming<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const isBug = error instanceof TypeError || error instanceof ReferenceError
    if (error instanceof StartError || isBug || !(error instanceof Error)) throw error
    const message = error.message.includes(path) ? error.message : `${path}: ${error.message}`
    const { cause } = error
    const more = cause instanceof Error && !cause.message.includes(path) ? ` (${cause.message})` : ''
    throw new StartError(`cannot start: ${message}${more}`, { cause: error })
  }
}

/** A promise that is awaited only after others: until then its failure must not end the process. */
function handledLater(promise: Promise<unknown>): void {
  promise.catch(() => undefined)
}
