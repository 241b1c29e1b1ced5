/**
 * A server's data folder, copied while the server runs. The copy is a data folder itself: a server can be started on it.
 *
 * The database comes first, as of one moment, and then the blobs that it names. They do not change, and those that lose
 * their last reference meanwhile stay for the grace period, so what was named at that moment can still be read. The other
 * way round, what is pushed in between would be named and not there.
 *
 * The copy is whole at every moment: blobs are added, then the database takes its place, then what it does not name goes.
 */
import { join } from 'node:path'
import type { BlobStore } from '../backends/blobs/blob-store.ts'
import type { Database } from '../backends/db/database.ts'
import { copySqlite, DamagedDatabase, replaceSqlite } from '../backends/db/sqlite-copy.ts'
import { openBlobStore, openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import { noDataFolder } from '../base/data-folder.ts'
import { timestamp } from '../base/timestamp.ts'
import type { Config } from '../config/config.ts'
import { usualSecretKey } from '../config/load.ts'
import { BackupError, type BackupFolder, openBackupFolder } from './backup-folder.ts'
import { type BlobCounts, copyLinkedBlobs, removeUnlinkedBlobs, type Trouble } from './linked-blobs.ts'
import { mirrorSmallFiles } from './small-files.ts'

export { BackupError } from './backup-folder.ts'

export interface BackupOptions {
  readonly config: Config
  /** Absolute. */
  readonly folder: string
  /** Read every blob that was copied before, and copy those again that are damaged. */
  readonly verify: boolean
  /** The secret key, the file of the first start, the certificates with their keys. */
  readonly withSecrets: boolean
  readonly onProgress?: (counts: BlobCounts) => void
}

export interface BackupReport {
  /** The moment that the copy is of. */
  readonly takenAt: string
  readonly counts: BlobCounts
  /** Blobs that a repository names and that could not be copied, now or before. */
  readonly troubles: readonly Trouble[]
  /** Blobs of the copy that nothing names any more. */
  readonly removed: number
  /** Sentences about what a restore needs and the copy does not have. */
  readonly elsewhere: readonly string[]
}

const databaseFile = 'berth.db'

/** Throws `BackupError` where it cannot begin; whatever it throws, an earlier copy is as good as before. */
export async function backUp(options: BackupOptions): Promise<BackupReport> {
  const { config, folder, withSecrets } = options
  if (config.db.kind !== 'sqlite')
    throw new BackupError('the database is PostgreSQL, which has tools of its own for this; see docs/operations.md')
  const reason = noDataFolder(config.dataFolder, config.db.file)
  if (reason !== undefined) throw new BackupError(reason)
  using target = await openBackupFolder(folder, config.dataFolder)
  await using stores = await openStores(config, target)

  let copy = await copyAll(options, config.db.file, target, stores)
  // What is missing may have been collected while this went on. Then a later database does not name it.
  let { copied, copiedBytes } = copy.counts
  for (let before = ''; namesOf(copy.troubles) !== before; ) {
    before = namesOf(copy.troubles)
    copy = await copyAll(options, config.db.file, target, stores)
    copied += copy.counts.copied
    copiedBytes += copy.counts.copiedBytes
  }
  await mirrorSmallFiles(config.dataFolder, folder, { database: databaseFile, withSecrets })

  if (stores.from !== undefined) await stores.to.setOwner(copy.tenantId)
  const file = join(folder, databaseFile)
  await replaceSqlite(file, copy.file)
  const removed = await withDatabase(file, (db) => removeUnlinkedBlobs(db, stores.to))
  const { counts, takenAt, tenantId, troubles } = copy
  await target.mark({ tenantId, takenAt, blobs: counts.blobs, bytes: counts.bytes, troubles: troubles.length })
  return { takenAt, counts: { ...counts, copied, copiedBytes }, troubles, removed, elsewhere: elsewhereOf(options) }
}

const namesOf = (troubles: readonly Trouble[]) =>
  troubles
    .map(({ digest }) => digest)
    .sort()
    .join()

interface Stores extends AsyncDisposable {
  /** Absent where blobs are in an object store, which has copies of its own. */
  readonly from: BlobStore | undefined
  readonly to: BlobStore
}

async function openStores({ blobs }: Config, { path }: BackupFolder): Promise<Stores> {
  const from = blobs.kind === 'filesystem' ? await openBlobStore(blobs) : undefined
  const to = await openBlobStore({ kind: 'filesystem', folder: join(path, 'blobs') })
  return {
    from,
    to,
    async [Symbol.asyncDispose]() {
      await from?.dispose()
      await to.dispose()
    },
  }
}

/** The database as of now, beside the one of the last copy, and every blob that it names. */
async function copyAll(
  { folder, verify, onProgress = () => undefined }: BackupOptions,
  original: string,
  target: BackupFolder,
  { from, to }: Stores,
) {
  const file = join(folder, `${databaseFile}.new`)
  const takenAt = timestamp(systemClock)
  await copySqlite(original, file).catch((error: unknown) => {
    throw error instanceof DamagedDatabase ? new BackupError(error.message, { cause: error }) : error
  })
  return withDatabase(file, async (db) => {
    const tenantId = await tenantOf(db, target)
    // Their bytes are not copied: a client that comes back to one begins it anew.
    await db.write((tables) => tables.deleteFrom('upload_sessions').execute())
    const copied = await copyLinkedBlobs(db, from, to, { verify, onProgress })
    return { ...copied, file, takenAt, tenantId }
  })
}

async function withDatabase<T>(file: string, work: (db: Database) => Promise<T>): Promise<T> {
  const db = await openDatabase({ kind: 'sqlite', file }, systemClock)
  try {
    return await work(db)
  } finally {
    await db.dispose()
  }
}

/** Marks an empty folder as this server's. */
async function tenantOf(db: Database, { path, marker, mark }: BackupFolder): Promise<string> {
  const tenant = await db.read((tables) => tables.selectFrom('tenants').select('id').executeTakeFirst())
  if (tenant === undefined) throw new BackupError('the server has not come to the end of its first start')
  if (marker === undefined) await mark({ tenantId: tenant.id, takenAt: null, blobs: 0, bytes: 0, troubles: 0 })
  else if (marker.tenantId !== tenant.id) throw new BackupError(`${path} is the backup of another server`)
  return tenant.id
}

function elsewhereOf({ config, withSecrets }: BackupOptions): string[] {
  const { dataFolder, secretKey, blobs } = config
  const isApart = secretKey !== usualSecretKey(dataFolder) || !withSecrets
  return [
    ...(isApart ? [`the secret key is ${secretKey}, which is not copied; without it, secrets are lost`] : []),
    ...(blobs.kind === 'filesystem' ? [] : ['the blobs are in an object store, and are not copied']),
  ]
}
