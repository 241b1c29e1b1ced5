/** The registry core without a server: one process, or several on the same database file and folder of blobs. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Digest } from '@berth/oci'
import type { BlobStore } from '../src/backends/blobs/blob-store.ts'
import { openFilesystemBlobStore } from '../src/backends/blobs/filesystem.ts'
import { openMemoryBlobStore } from '../src/backends/blobs/memory.ts'
import type { Database } from '../src/backends/db/database.ts'
import { openPostgres } from '../src/backends/db/postgres.ts'
import { openSqlite } from '../src/backends/db/sqlite.ts'
import { type Clock, manualClock } from '../src/base/clock.ts'
import {
  type CollectionOptions,
  type Collector,
  createCollector,
  type Garbage,
} from '../src/core/registry/collection/collect.ts'
import { createRegistry, type Registry } from '../src/core/registry/registry.ts'
import { createTestDatabase, onPostgreSql, openTestDatabase } from './database.ts'
import type { Content, Image } from './images.ts'
import { testPostgres } from './postgres.ts'

export interface TestProcess {
  readonly db: Database
  readonly store: BlobStore
  readonly registry: Registry
  readonly collector: Collector
}

export interface TestCore extends TestProcess {
  readonly clock: ReturnType<typeof manualClock>
  /** Blobs, by single requests. */
  push(repository: string, ...blobs: readonly Content[]): Promise<void>
  /** A manifest by tags, or by its digest when there are none. */
  putManifest(repository: string, manifest: Content, ...tags: string[]): Promise<void>
  /** Config and layers, then the manifest. */
  pushImage(repository: string, image: Image, ...tags: string[]): Promise<void>
  deleteManifest(repository: string, reference: string): Promise<void>
  has(repository: string, blob: Content): Promise<boolean>
  /** What a collection has removed; a grace of an hour and an expiry of a day unless stated. */
  collect(options?: Partial<CollectionOptions>): Promise<Garbage[]>
}

export const hourMs = 3_600_000
export const dayMs = 24 * hourMs

export const at = (repository: string, registry = 'berth') => ({ registry, repository })

const sessionKey = randomBytes(32)

export function processOn(db: Database, store: BlobStore, clock: Clock): TestProcess {
  const registry = createRegistry({ db, blobs: store, clock, sessionKey, graceMs: hourMs, node: 'test' })
  return { db, store, registry, collector: createCollector(db, store, clock) }
}

/** One process in memory (with `DB=postgres`, on PostgreSQL), with the registries `berth` and `other`. */
export async function openTestCore(given: { store?: BlobStore } = {}): Promise<TestCore & AsyncDisposable> {
  const clock = manualClock()
  const db = await openTestDatabase({ clock })
  const store = given.store ?? openMemoryBlobStore(clock)
  await addRegistries(db)
  const process = processOn(db, store, clock)
  const core = { ...process, clock, ...shorthands(process) }
  return {
    ...core,
    async [Symbol.asyncDispose]() {
      await store.dispose()
      await db.dispose()
    },
  }
}

/** Several processes on one database (SQLite, or PostgreSQL with `DB=postgres`) and one folder of blobs. */
export async function openTestProcesses(count: number, clock: Clock): Promise<TestProcess[] & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-core-'))
  const shared = onPostgreSql ? await createTestDatabase() : undefined
  const open = async () =>
    shared === undefined
      ? openSqlite({ file: join(folder, 'berth.db'), clock })
      : openPostgres({ server: (await testPostgres()).serverOf(shared.name) })
  const processes: TestProcess[] = []
  for (let i = 0; i < count; i++) {
    const db = await open()
    const store = await openFilesystemBlobStore({ folder: join(folder, 'blobs') })
    processes.push(processOn(db, store, clock))
  }
  const [first] = processes
  if (first !== undefined) await addRegistries(first.db)
  return Object.assign(processes, {
    async [Symbol.asyncDispose]() {
      for (const { db, store } of processes) {
        await store.dispose()
        await db.dispose()
      }
      await shared?.drop()
      await rm(folder, { recursive: true })
    },
  })
}

async function addRegistries(db: Database): Promise<void> {
  await db.write(async (tables) => {
    for (const name of ['berth', 'other']) {
      await tables
        .insertInto('registries')
        .values({
          name,
          sku: 'Premium',
          admin_user_enabled: 1,
          anonymous_pull_enabled: 0,
          sparse_manifests_enabled: 0,
          created_at: '2026-01-01T00:00:00.000Z',
        })
        .execute()
    }
  })
}

function shorthands({ registry, collector }: TestProcess) {
  const push: TestCore['push'] = async (repository, ...blobs) => {
    for (const { digest, bytes } of blobs) await registry.pushBlob(at(repository), digest, once(bytes))
  }
  const putManifest: TestCore['putManifest'] = async (repository, manifest, ...tags) => {
    const [first, ...more] = tags
    const reference = first === undefined ? { digest: manifest.digest } : { tag: first }
    await registry.putManifest(at(repository), reference, manifest.mediaType, manifest.bytes, { tags: more })
  }
  return {
    push,
    putManifest,
    async pushImage(repository: string, image: Image, ...tags: string[]) {
      await push(repository, image.config, ...image.layers)
      await putManifest(repository, image.manifest, ...tags)
    },
    async deleteManifest(repository: string, reference: string) {
      const digest = reference.includes(':') ? (reference as Digest) : undefined
      await registry.deleteManifest(at(repository), digest === undefined ? { tag: reference } : { digest })
    },
    async has(repository: string, { digest }: Content) {
      return registry.getBlob(at(repository), digest).then(
        () => true,
        () => false,
      )
    },
    async collect(options: Partial<CollectionOptions> = {}) {
      const garbage: Garbage[] = []
      for await (const batch of collector.collect({ graceMs: hourMs, uploadExpiryMs: dayMs, ...options })) {
        garbage.push(...batch)
      }
      return garbage
    },
  }
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Usage, recounted from the tables: of registries by name, of repositories by `<registry>/<repository>`. */
export async function recount(db: Database): Promise<Record<string, { blobBytes: number; manifestBytes: number }>> {
  return db.read(async (tables) => {
    const links = await tables
      .selectFrom('repository_blobs')
      .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
      .innerJoin('registries', 'registries.id', 'repositories.registry_id')
      .innerJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
      .select(['registries.name as registry', 'repositories.name as repository', 'blobs.digest', 'blobs.size'])
      .execute()
    const manifests = await tables
      .selectFrom('manifests')
      .innerJoin('repositories', 'repositories.id', 'manifests.repository_id')
      .innerJoin('registries', 'registries.id', 'repositories.registry_id')
      .select(['registries.name as registry', 'repositories.name as repository', 'manifests.size'])
      .execute()
    const usage: Record<string, { blobBytes: number; manifestBytes: number }> = {}
    const of = (name: string) => {
      usage[name] ??= { blobBytes: 0, manifestBytes: 0 }
      return usage[name]
    }
    const counted = new Set<string>()
    for (const { registry, repository, digest, size } of links) {
      of(`${registry}/${repository}`).blobBytes += size
      if (!counted.has(`${registry} ${digest}`)) of(registry).blobBytes += size
      counted.add(`${registry} ${digest}`)
    }
    for (const { registry, repository, size } of manifests) {
      of(`${registry}/${repository}`).manifestBytes += size
      of(registry).manifestBytes += size
    }
    return usage
  })
}
