/** From the configuration to the back ends it names; nobody else knows which kinds there are. */
import type { Clock } from '../base/clock.ts'
import type { BlobsConfig, DbConfig } from '../config/config.ts'
import type { BlobStore } from './blobs/blob-store.ts'
import { openFilesystemBlobStore } from './blobs/filesystem.ts'
import { openMemoryBlobStore } from './blobs/memory.ts'
import type { Database } from './db/database.ts'
import { openSqlite } from './db/sqlite.ts'

/** onBroken: called once, when the disk has failed to keep a commit; then every process that has the database open should end. */
export function openDatabase(
  config: DbConfig,
  clock: Clock,
  onBroken: (error: unknown) => void = () => undefined,
): Promise<Database> {
  return openSqlite({ file: config.file, clock, onBroken })
}

export async function openBlobStore(config: BlobsConfig): Promise<BlobStore> {
  return config.kind === 'memory' ? openMemoryBlobStore() : openFilesystemBlobStore({ folder: config.folder })
}
