/** What must be there before the first request: data folder, secret, database, certificates, first tenant. */
import { X509Certificate } from 'node:crypto'
import { access, constants, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore } from '../backends/blobs/blob-store.ts'
import type { Database } from '../backends/db/database.ts'
import { checkBlobs, openBlobStore, openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import { faultOfDisk } from '../base/disk-full.ts'
import { ensureFolder } from '../base/ensure-folder.ts'
import { Fault, isFault } from '../base/fault.ts'
import { firstRegistry } from '../base/host-names.ts'
import { nodeName } from '../base/node-name.ts'
import { postgresName } from '../base/postgres-name.ts'
import { sealerOf } from '../base/seal.ts'
import { createSecret, type Keys, loadKeys } from '../base/secret-key.ts'
import { placeOfBlobs } from '../config/blobs-place.ts'
import type { Config, DbConfig } from '../config/config.ts'
import { createSigningKeys } from '../core/access/signing-keys.ts'
import { type Founding, foundFirstTenant, isTenant, isUnused } from '../core/directory/founding.ts'
import { createRegistries, type Registries } from '../core/directory/registries.ts'
import { findMove } from '../core/migration/moves.ts'
import { ownershipOf, takeStore } from '../core/registry/integrity/store-owner.ts'
import { isStoreThere } from '../core/registry/integrity/store-witness.ts'
import { releaseDeadClaims } from '../core/registry/upload-claims.ts'
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
import { lastStartFile, writeLastStart } from './last-start.ts'
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
  const notices: string[] = []
  const bootstrapFile = join(config.dataFolder, 'bootstrap.json')
  const addresses = prepareTls(config, notices).then((caCertificate) => addressesOf(config, caCertificate))
  handledLater(addresses)
  await prepareBlobs(config)
  const { firstStart, bootstrap } = await naming(
    nameOf(config.db),
    prepareDatabase(config, { bootstrapFile, addresses, notices }),
  )
  await rememberStart(config, notices)
  return { config, bootstrap, bootstrapFile, firstStart, notices }
}

/** A full disk is no reason not to serve pulls. */
async function rememberStart(config: Config, notices: string[]): Promise<void> {
  try {
    await writeLastStart(config)
  } catch (error) {
    if (!isFault(faultOfDisk(error), 'unavailable')) throw error
    const file = lastStartFile(config.dataFolder)
    notices.push(`The disk is full: pushes are refused, and ${file}, which commands go by, is not written anew.`)
  }
}

const addressesOf = (config: Config, caCertificate: string): Addresses => ({
  scheme: config.tls.kind === 'none' ? 'http' : 'https',
  domain: config.domain,
  port: config.publicPort,
  caCertificate,
})

const nameOf = (db: DbConfig) => (db.kind === 'sqlite' ? db.file : postgresName(db))

export const keysOf = ({ secretKey }: Config): Promise<Keys> => loadKeys(secretKey)

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

/** How long a start waits for a database or an object store on another machine, which may be starting as well. */
const patienceMs = 60_000

async function prepareBlobs({ blobs }: Config): Promise<void> {
  const onWaiting = (name: string, reason: string) =>
    void process.stderr.write(`Waiting up to ${patienceMs / 1000} s for ${name}: ${reason}\n`)
  await checkBlobs(blobs, { patienceMs, onWaiting }).catch((error: Error) => {
    throw new StartError(`cannot start: ${error.message}`, { cause: error })
  })
}

interface Surroundings {
  readonly bootstrapFile: string
  readonly addresses: Promise<Addresses>
  readonly notices: string[]
}

/** What the workers find in the database when they begin, and the file that tells the operator about it. */
async function prepareDatabase(config: Config, surroundings: Surroundings) {
  const onWaiting = (reason: string) =>
    void process.stderr.write(`Waiting up to ${patienceMs / 1000} s for ${nameOf(config.db)}: ${reason}\n`)
  const db = await openDatabase(config.db, systemClock, { patienceMs, onWaiting })
  try {
    // Of several nodes that start at once on an empty database, one founds; the others then find it founded.
    return await db.exclusively('founding', () => prepareContentsOf(db, config, surroundings))
  } finally {
    await db.dispose()
  }
}

async function prepareContentsOf(db: Database, config: Config, { bootstrapFile, addresses, notices }: Surroundings) {
  await heedMove(db, config, notices)
  await using opened = new AsyncDisposableStack()
  const store = opened.adopt(await openBlobStore(config.blobs), (open) => open.dispose())
  await requireStore(db, store, config)
  // Where something was sealed already, a new key would open nothing of it.
  if (await isUnused(db)) await naming(config.secretKey, createSecret(config.secretKey))
  const sealer = sealerOf((await naming(config.secretKey, keysOf(config))).seal)
  const registries = createRegistries(db, sealer, systemClock)
  await checkKey(registries, config)
  await releaseDeadClaims(db, nodeName(config.dataFolder))
  const signingKey = createSigningKeys(db, sealer, systemClock).getSigningKey()
  handledLater(signingKey)
  const announced = (await naming(bootstrapFile, readBootstrap(bootstrapFile)))?.tenantId
  const announce = async (founding: Founding) => {
    const bootstrap = bootstrapOf(founding, await addresses)
    await requireNewStore(store, announced, config)
    await writeBootstrap(bootstrapFile, bootstrap)
    await store.setOwner(founding.tenantId)
  }
  const founded = await foundFirstTenant(db, registries, systemClock, announce, announced)
  await dropForeignBootstrap(db, bootstrapFile, notices)
  const bootstrap = await refreshBootstrap(bootstrapFile, registries, await addresses)
  await signingKey
  return { firstStart: founded !== undefined, bootstrap }
}

/** Nothing is to be founded where everything is still to come; and who has moved may be started by an old habit. */
async function heedMove(db: Database, { db: config, dataFolder }: Config, notices: string[]): Promise<void> {
  const move = await findMove(db)
  if (move?.state === 'filling') {
    const sentence = `${nameOf(config)} is being filled by \`berth migrate\`, or was when that was cut short: run it to its end`
    throw new StartError(`cannot start: ${sentence}`)
  }
  if (move?.state === 'moved') {
    notices.push(
      `Everything has moved to ${move.database}: this server answers reads and refuses changes. ` +
        `\`berth migrate --undo --data ${dataFolder}\` takes that back.`,
    )
  }
}

/** A disk that is not mounted, or another node's folder, would show only when blobs are asked for, and be taken for damage. */
async function requireStore(db: Database, store: BlobStore, { db: named, blobs }: Config): Promise<void> {
  if (blobs.kind === 'memory') return
  const place = placeOfBlobs(blobs)
  const { state, tenant } = await ownershipOf(db, store)
  if (state === 'foreign') {
    throw new StartError(`cannot start: ${place} keeps the blobs of another database than ${nameOf(named)} (${tenant})`)
  }
  const isGone = state === 'ours' ? !(await isStoreThere(db, store)) : state === 'absent'
  if (isGone) {
    throw new StartError(
      `cannot start: ${place} has none of the blobs that ${nameOf(named)} was last known to have: is it the right place, and mounted? ` +
        'If they are lost, `berth fsck --repair --accept-loss` counts them as not there',
    )
  }
  // With a database on this machine alone there is no other node whose place could be meant.
  if (state === 'unknown' && named.kind !== 'sqlite') {
    throw new StartError(
      `cannot start: ${place} is not where other nodes on ${nameOf(named)} keep blobs: all need one place, such as a bucket (--blobs). ` +
        'If it is to be, `berth fsck --repair` makes it so',
    )
  }
  if (state !== 'ours') await takeStore(db, store)
}

/** announced: the tenant of a start that died at the founding; the store may have its word. */
async function requireNewStore(store: BlobStore, announced: string | undefined, { blobs }: Config): Promise<void> {
  const place = placeOfBlobs(blobs)
  const owner = await store.owner()
  if (owner !== undefined && owner !== announced) {
    throw new StartError(
      `cannot start: ${place} is the store of another database (${owner}), and this one is new. ` +
        'If that one is no more, remove `owner` there',
    )
  }
  for await (const digest of store.list()) {
    throw new StartError(`cannot start: ${place} keeps the blobs of another database (${digest}), and this one is new`)
  }
}

/** Without it, a wrong key would show at the first login. */
async function checkKey(registries: Registries, config: Config): Promise<void> {
  const [any] = await registries.listRegistries()
  if (any === undefined) return
  try {
    await registries.listPasswords(any.name)
  } catch (error) {
    if (error instanceof Fault) throw error
    const rule = config.db.kind === 'sqlite' ? '' : '; every node needs the one of the first'
    const message = `${config.secretKey} is not the key that sealed the secrets in ${nameOf(config.db)}${rule}`
    throw new StartError(`cannot start: ${message}`, { cause: error })
  }
}

/** Left behind by a start that died after it wrote the file and before it founded anything; then another node founded. */
async function dropForeignBootstrap(db: Database, file: string, notices: string[]): Promise<void> {
  const existing = await naming(file, readBootstrap(file))
  if (existing === undefined || (await isTenant(db, existing.tenantId))) return
  await rm(file)
  notices.push(`${file} was about a tenant that does not exist, and is removed.`)
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
    const isTold = !(cause instanceof Error) || cause.message.includes(path) || message.includes(cause.message)
    const more = isTold ? '' : ` (${cause.message})`
    throw new StartError(`cannot start: ${message}${more}`, { cause: error })
  }
}

/** A promise that is awaited only after others: until then its failure must not end the process. */
function handledLater(promise: Promise<unknown>): void {
  promise.catch(() => undefined)
}
