/** From the configuration to the back ends it names; nobody else knows which kinds there are. */
import type { Clock } from '../base/clock.ts'
import { formatBlobsUrl } from '../config/blobs-url.ts'
import type { AzureBlobConfig, BlobsConfig, DbConfig, S3Config } from '../config/config.ts'
import type { BlobStore } from './blobs/blob-store.ts'
import { checkBlobStore } from './blobs/blob-store-check.ts'
import { openFilesystemBlobStore } from './blobs/filesystem.ts'
import { openMemoryBlobStore } from './blobs/memory.ts'
import type { StoreCall } from './blobs/object-retries.ts'
import { type Checkpoints, type CheckpointsOptions, startCheckpoints } from './db/checkpoints.ts'
import type { Database } from './db/database.ts'
import { openSqlite } from './db/sqlite.ts'

export interface OpenDatabaseOptions {
  /** Called once, when the disk has failed to keep a commit; then every process that has the database open should end. */
  readonly onBroken?: (error: unknown) => void
  /** SQLite: whether nobody else does the checkpoints, see `checkpoints.ts`. */
  readonly ownCheckpoints?: boolean
  /** How long a database on another machine, that is not there yet, is waited for. */
  readonly patienceMs?: number
  /** Called every few seconds meanwhile, with what is the matter. */
  readonly onWaiting?: (reason: string) => void
}

const usualPatienceMs = 10_000

export async function openDatabase(
  config: DbConfig,
  clock: Clock,
  { patienceMs = usualPatienceMs, onWaiting, ...sqlite }: OpenDatabaseOptions = {},
): Promise<Database> {
  if (config.kind === 'sqlite') return openSqlite({ file: config.file, clock, ...sqlite })
  const { openPostgres } = await import('./db/postgres.ts') // a start without it is spared the driver
  return openPostgres({ server: config, clock, patienceMs, onWaiting })
}

/** Undefined for a database that needs nobody for it. */
export function openCheckpoints(
  config: DbConfig,
  on: Pick<CheckpointsOptions, 'onFailure' | 'onBroken'>,
): Checkpoints | undefined {
  return config.kind === 'sqlite' ? startCheckpoints({ file: config.file, ...on }) : undefined
}

/** observe: called for every call to an object store. */
export async function openBlobStore(config: BlobsConfig, observe?: (call: StoreCall) => void): Promise<BlobStore> {
  if (config.kind === 'memory') return openMemoryBlobStore()
  if (config.kind === 'filesystem') return openFilesystemBlobStore({ folder: config.folder })
  return openObjectBlobStore(config, observe)
}

/** For a start: throws an error whose message is one sentence when the store cannot be used. */
export async function checkBlobs(
  config: BlobsConfig,
  options: { readonly patienceMs: number; readonly onWaiting: (name: string, reason: string) => void },
): Promise<void> {
  if (config.kind !== 's3' && config.kind !== 'azure-blob') return
  const name = formatBlobsUrl(config)
  const store = await openObjectBlobStore(config)
  try {
    const onWaiting = (reason: string) => options.onWaiting(name, reason)
    await checkBlobStore(store, { name, patienceMs: options.patienceMs, onWaiting })
  } finally {
    await store.dispose()
  }
}

/** A start without it is spared the SDK. */
async function openObjectBlobStore(
  config: S3Config | AzureBlobConfig,
  observe?: (call: StoreCall) => void,
): Promise<BlobStore> {
  return config.kind === 's3'
    ? (await import('./blobs/s3.ts')).openS3BlobStore({ ...config, observe })
    : (await import('./blobs/azure-blob.ts')).openAzureBlobStore({ ...config, observe })
}
