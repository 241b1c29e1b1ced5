/**
 * A server's data folder, copied while the server runs. The copy is a data folder itself: a server can be started on it.
 *
 * The database comes first, as of one moment, and then the blobs that it names. They do not change, and those that lose
 * their last reference meanwhile stay for the grace period, so what was named at that moment can still be read. The other
 * way round, what is pushed in between would be named and not there.
 *
 * The copy is whole at every moment: blobs are added, then the database takes its place, then what it does not name goes.
 */
import { statSync } from 'node:fs'
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
  // Before there are blobs: it says whose backup it is.
  let copy = await copyDatabase(config.db.file, target)
  await using stores = await openStores(config, target)

  let { counts, troubles } = await copyBlobs(options, copy, stores)
  // What is missing may have been collected while this went on. Then a later database does not name it.
  let { copied, copiedBytes } = counts
  for (let before = ''; namesOf(troubles) !== before; ) {
    before = namesOf(troubles)
    copy = await copyDatabase(config.db.file, target)
    ;({ counts, troubles } = await copyBlobs(options, copy, stores))
    copied += counts.copied
    copiedBytes += counts.copiedBytes
  }
  await mirrorSmallFiles(config.dataFolder, folder, { database: databaseFile, withSecrets })

  if (stores.from !== undefined) await stores.to.setOwner(copy.tenantId)
  const file = join(folder, databaseFile)
  await replaceSqlite(file, copy.file)
  const removed = await withDatabase(file, (db) => removeUnlinkedBlobs(db, stores.to))
  const { takenAt, tenantId } = copy
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

interface DatabaseCopy {
  readonly file: string
  /** The moment that it is of. */
  readonly takenAt: string
  readonly tenantId: string
}

/** Beside the one of the last copy. */
async function copyDatabase(original: string, target: BackupFolder): Promise<DatabaseCopy> {
  const file = join(target.path, `${databaseFile}.new`)
  const takenAt = timestamp(systemClock)
  await copySqlite(original, file).catch((error: unknown) => {
    throw error instanceof DamagedDatabase ? new BackupError(error.message, { cause: error }) : error
  })
  const tenantId = await withDatabase(file, async (db) => {
    // Their bytes are not copied: a client that comes back to one begins it anew.
    await db.write((tables) => tables.deleteFrom('upload_sessions').execute())
    return tenantOf(db, target)
  })
  return { file, takenAt, tenantId }
}

/** Every blob that the copy of the database names. */
const copyBlobs = (
  { verify, onProgress = () => undefined }: BackupOptions,
  { file }: DatabaseCopy,
  { from, to }: Stores,
) => withDatabase(file, (db) => copyLinkedBlobs(db, from, to, { verify, onProgress }))

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
  const isThere = statSync(secretKey, { throwIfNoEntry: false })?.isFile() === true
  return [
    ...(isThere ? [] : [`the secret key should be ${secretKey}, and is not there; without it, secrets are lost`]),
    ...(isThere && isApart
      ? [`the secret key is ${secretKey}, which is not copied; without it, secrets are lost`]
      : []),
    ...(blobs.kind === 'filesystem' ? [] : ['the blobs are in an object store, and are not copied']),
  ]
}
