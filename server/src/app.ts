/** Composition root: configuration in, running server out; the only file that sees every part. */

import type { BlobStore } from './backends/blobs/blob-store.ts'
import type { StoreCall } from './backends/blobs/object-retries.ts'
import type { Database } from './backends/db/database.ts'
import { openBlobStore, openDatabase } from './backends/open.ts'
import { isPlainDomain } from './base/addresses.ts'
import { type Clock, systemClock } from './base/clock.ts'
import { firstRegistry } from './base/host-names.ts'
import type { Log } from './base/log.ts'
import { nodeName } from './base/node-name.ts'
import { sealerOf } from './base/seal.ts'
import type { Keys } from './base/secret-key.ts'
import { version } from './base/version.ts'
import type { Config } from './config/config.ts'
import { type Access, createAccess, type Door } from './core/access/access.ts'
import { createAuthorizationReader } from './core/access/credential.ts'
import { createLoginThrottle } from './core/access/login-throttle.ts'
import { createRegistryTokens } from './core/access/registry-tokens.ts'
import { createSigningKeys, type SigningKeys } from './core/access/signing-keys.ts'
import { createRegistries, type Registries } from './core/directory/registries.ts'
import { type Collector, createCollector } from './core/registry/collection/collect.ts'
import { createIntegrityChecker, type IntegrityChecker } from './core/registry/integrity/check.ts'
import { createScrubber, type Scrubber } from './core/registry/integrity/scrub.ts'
import { createRegistry, type Registry } from './core/registry/registry.ts'
import { addressList } from './http/address-list.ts'
import { createClientView } from './http/authority.ts'
import { createHostRules, type HostRules } from './http/hosts.ts'
import type { ReplyHeaders } from './http/reply.ts'
import type { HttpRequest } from './http/request.ts'
import { createHandler, type Exchange, type Handler } from './http/server.ts'
import { distributionPlane } from './planes/distribution/index.ts'
import { operatorPlane } from './planes/operator/index.ts'
import { tokenPlane } from './planes/token/index.ts'

export interface Backends {
  readonly db: Database
  readonly blobs: BlobStore
  readonly clock: Clock
  readonly wait: (ms: number) => Promise<void>
  /** Called once, when the disk has failed to keep a commit: every process on the data folder should end. */
  readonly onBroken: (error: unknown) => void
  /** Whether no other process does the database's checkpoints. */
  readonly ownCheckpoints: boolean
  /** Called for every call to an object store. */
  readonly onStoreCall: (call: StoreCall) => void
}

export interface Surroundings {
  readonly log: Log
  readonly keys: Keys
  readonly observe: (exchange: Exchange) => void
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
}

/** The parts that work on the data, without a server: what commands on the same data folder use too. */
export interface Core {
  readonly db: Database
  readonly registries: Registries
  readonly registry: Registry
  readonly collector: Collector
  readonly integrity: IntegrityChecker
  readonly scrubber: Scrubber
  readonly access: Access
  readonly signingKeys: SigningKeys
  readonly hosts: HostRules
  dispose(): Promise<void>
}

export interface App extends Core {
  readonly handler: Handler
}

/** The levels at which the log has a line for every request. */
const requestLevels = new Set(['trace', 'debug', 'info'])

export async function createCore(config: Config, keys: Keys, given: Partial<Backends> = {}): Promise<Core> {
  const clock = given.clock ?? systemClock
  const db = given.db ?? (await openDatabase(config.db, clock, given))
  const blobs = given.blobs ?? (await openBlobStore(config.blobs, given.onStoreCall))
  const sealer = sealerOf(keys.seal)
  const registries = createRegistries(db, sealer, clock)
  const registry = createRegistry({
    db,
    blobs,
    clock,
    sessionKey: keys.uploadSessions,
    graceMs: config.collection.graceMs,
    node: nodeName(config.dataFolder),
  })
  const signingKeys = createSigningKeys(db, sealer, clock)
  const tokens = createRegistryTokens(signingKeys, clock)
  const throttle = createLoginThrottle(db, clock, given.wait)
  const access = createAccess({ registries, tokens, throttle })
  const hosts = createHostRules(config.domain, firstRegistry)
  return {
    db,
    registries,
    registry,
    collector: createCollector(db, blobs, clock),
    integrity: createIntegrityChecker(db, blobs, clock),
    scrubber: createScrubber(db, blobs, clock),
    access,
    signingKeys,
    hosts,
    async dispose() {
      await blobs.dispose()
      await db.dispose()
    },
  }
}

export async function createApp(
  config: Config,
  { log, keys, observe, metrics }: Surroundings,
  given: Partial<Backends> = {},
): Promise<App> {
  const core = await createCore(config, keys, given)
  const { access, hosts, registry, db } = core
  const headers = commonHeaders(config)
  const doorOf = (request: HttpRequest): Door => ({
    registry: request.registry,
    audience: hosts.audienceOf(request.registry),
    address: request.remoteAddress,
  })
  const trusted = addressList(config.trustedProxies)
  const readAuthorization = createAuthorizationReader()
  const handler = createHandler({
    planes: [
      distributionPlane(registry, headers),
      tokenPlane(access, doorOf, headers),
      operatorPlane({ troubles: () => findTroubles(db, log), metrics, mayReadMetrics: trusted }, headers),
    ],
    clientView: createClientView(trusted),
    registryOf: hosts.registryOf,
    authorize: (request, needs) =>
      access.authorize(readAuthorization(request.headers.authorization), needs, doorOf(request)),
    log,
    logsRequests: requestLevels.has(config.log.level),
    observe,
  })
  return { ...core, handler }
}

/** ACR's, but for HSTS on localhost: there it would bar the browser from every other program on the machine. */
function commonHeaders(config: Config): ReplyHeaders {
  return {
    Server: `Berth/${version}`,
    'X-Content-Type-Options': 'nosniff',
    'Access-Control-Expose-Headers': [
      'Docker-Content-Digest',
      'WWW-Authenticate',
      'Link',
      'X-Ms-Correlation-Request-Id',
    ],
    ...(isPlainDomain(config.domain) || config.tls.kind === 'none'
      ? {}
      : { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
  }
}

/** Answers what everybody may read; the cause goes to the log. */
async function findTroubles(db: Database, log: Log): Promise<Record<string, string>> {
  try {
    await db.read((tables) => tables.selectFrom('registries').select('id').limit(1).execute())
    return {}
  } catch (error) {
    log.error({ err: error }, 'the database does not answer')
    return { database: 'does not answer' }
  }
}
