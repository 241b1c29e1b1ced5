/** Whole stores, database and blobs, for tests that move everything from one to another. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Digest, hexOf } from '@berth/oci'
import type { BlobStore } from '../src/backends/blobs/blob-store.ts'
import { openFilesystemBlobStore } from '../src/backends/blobs/filesystem.ts'
import type { Database } from '../src/backends/db/database.ts'
import { openPostgres } from '../src/backends/db/postgres.ts'
import { openSqlite } from '../src/backends/db/sqlite.ts'
import { systemClock } from '../src/base/clock.ts'
import { sealerOf } from '../src/base/seal.ts'
import { createSigningKeys } from '../src/core/access/signing-keys.ts'
import { foundFirstTenant } from '../src/core/directory/founding.ts'
import { createRegistries } from '../src/core/directory/registries.ts'
import { movedTables } from '../src/core/migration/moved-tables.ts'
import { pagesOf, type Row } from '../src/core/migration/rows.ts'
import type { Collector } from '../src/core/registry/collection/collect.ts'
import type { Registry } from '../src/core/registry/registry.ts'
import { at, once, processOn } from './core.ts'
import { createTestDatabase } from './database.ts'
import { aBlob, anImage, anIndex, aReferrer, aSignedSchema1, type Content, type Image } from './images.ts'

export interface TestStore extends AsyncDisposable {
  readonly db: Database
  readonly blobs: BlobStore
  readonly registry: Registry
  readonly collector: Collector
  /** As settings spell it. */
  readonly place: { readonly database: string; readonly blobs: string }
  /** Undefined for blobs that are not in a folder. */
  readonly folder: string | undefined
  push(repository: string, image: Image, ...tags: string[]): Promise<void>
  /** The folder's file of a blob. */
  fileOf(digest: Digest): string
}

/** SQLite and a folder. folder: one that is there already; it stays then. like: one to begin with a copy of. */
export async function openFolderStore(folder?: string, like?: string): Promise<TestStore> {
  const home = folder ?? (await mkdtemp(join(tmpdir(), 'berth-store-')))
  if (like !== undefined) await cp(like, home, { recursive: true })
  const db = await openSqlite({ file: join(home, 'berth.db') })
  const blobs = await openFilesystemBlobStore({ folder: join(home, 'blobs') })
  const remove = async () => (folder === undefined ? rm(home, { recursive: true }) : undefined)
  return storeOn(db, blobs, { database: join(home, 'berth.db'), blobs: join(home, 'blobs') }, home, remove)
}

/** PostgreSQL and whatever keeps the blobs; disposal drops the database. */
export async function openPostgresStore(blobs: BlobStore, blobsName: string): Promise<TestStore> {
  const { testPostgres } = await import('./postgres.ts')
  const { name, drop } = await createTestDatabase()
  const db = await openPostgres({ server: (await testPostgres()).serverOf(name) })
  return storeOn(db, blobs, { database: `postgres://test/${name}`, blobs: blobsName }, undefined, drop)
}

function storeOn(
  db: Database,
  blobs: BlobStore,
  place: TestStore['place'],
  folder: string | undefined,
  remove: () => Promise<void>,
): TestStore {
  const process = processOn(db, blobs, systemClock)
  const { registry } = process
  return {
    db,
    blobs,
    registry,
    collector: process.collector,
    place,
    folder,
    async push(repository, { config, layers, manifest }, ...tags) {
      for (const { digest, bytes } of [config, ...layers]) await registry.pushBlob(at(repository), digest, once(bytes))
      await putManifest(registry, repository, manifest, ...tags)
    },
    fileOf: (digest) => join(folder ?? '', 'blobs', 'sha256', hexOf(digest).slice(0, 2), hexOf(digest)),
    async [Symbol.asyncDispose]() {
      await blobs.dispose()
      await db.dispose()
      await remove()
    },
  }
}

export async function putManifest(
  registry: Registry,
  repository: string,
  manifest: Content,
  ...tags: string[]
): Promise<void> {
  const [tag, ...more] = tags
  const reference = tag === undefined ? { digest: manifest.digest } : { tag }
  await registry.putManifest(at(repository), reference, manifest.mediaType, manifest.bytes, { tags: more })
}

/** What every store is given, so that each of its tables has a row. */
export const contents = {
  app: anImage({ seed: 'app', layers: 3 }),
  other: anImage({ seed: 'other', layers: 2 }),
  untagged: anImage({ seed: 'untagged' }),
  unused: aBlob('a blob that no manifest names'),
  gone: aBlob('a blob that was deleted'),
  large: aBlob(Buffer.alloc(3_000_000, 'large')),
}
export const annotated = anImage({ seed: 'annotated', fields: { annotations: { 'a.key': 'ä value 🐳' } } })
export const index = anIndex([contents.app.manifest, contents.other.manifest])
export const referrer = aReferrer(contents.app.manifest, { artifactType: 'application/x-signature' })
export const schema1 = aSignedSchema1(contents.app.layers)

/** A row in every table, most of them made by those who make them in a server. */
export async function fillStore(store: TestStore): Promise<void> {
  const { db, registry, push } = store
  const sealer = sealerOf(Buffer.alloc(32, 'key'))
  await foundFirstTenant(db, createRegistries(db, sealer, systemClock), systemClock, async () => undefined)
  await createSigningKeys(db, sealer, systemClock).getSigningKey()
  await push('team/app', contents.app, 'v1', 'latest')
  await push('team/app', contents.other, 'v2')
  await putManifest(registry, 'team/app', index, 'both')
  await push('team/app', referrer)
  await push('team/app', annotated, 'annotated')
  await putManifest(registry, 'team/app', schema1, 'old')
  await push('other', contents.untagged, 'soon')
  await registry.deleteManifest(at('other'), { tag: 'soon' })
  for (const { digest, bytes } of [contents.unused, contents.gone, contents.large])
    await registry.pushBlob(at('other'), digest, once(bytes))
  await registry.deleteBlob(at('other'), contents.gone.digest)
  // The greatest ids are of rows that are gone.
  await push('gone', anImage({ seed: 'gone' }), 'x')
  await registry.deleteManifest(at('gone'), { digest: anImage({ seed: 'gone' }).manifest.digest })
  const { session } = await registry.startUpload(at('team/app'))
  await registry.appendToUpload(at('team/app'), session, { bytes: once(Buffer.from('unfinished')) })
  await db.write(async (tables) => {
    const { id } = await tables.selectFrom('repositories').select('id').executeTakeFirstOrThrow()
    await tables
      .insertInto('deleted_subjects')
      .values({ repository_id: id, digest: 'sha256:gone', newest_referrer_id: 3 })
      .execute()
    await tables.insertInto('leases').values({ name: 'job', holder: 'me', until: 'later' }).execute()
    await tables.insertInto('login_failures').values({ subject: 'a', failures: 1, failed_at: 'now' }).execute()
  })
}

/** Every row that is to move, by table. */
export async function rowsOf({ db }: Pick<TestStore, 'db'>): Promise<Record<string, Row[]>> {
  const rows: Record<string, Row[]> = {}
  for (const { name, key } of movedTables) {
    const columns = Object.keys(
      (await db.read((tables) => tables.selectFrom(name).selectAll().limit(1).executeTakeFirst())) ?? { [key[0]!]: 0 },
    ).sort()
    rows[name] = []
    for await (const page of pagesOf(db, { name, key, columns })) rows[name].push(...page.map(plain))
  }
  return rows
}

/** Bytes are Buffers on one dialect, plain arrays on the other. */
const plain = (row: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([column, value]) => [column, value instanceof Uint8Array ? Buffer.from(value) : value]),
  )
