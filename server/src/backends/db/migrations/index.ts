/** Every migration by name, run in this order. Never edited after release: a change is a new file. */
import type { Migration } from 'kysely/migration'
import { registryCore } from './0001-registry-core.ts'
import { directory } from './0002-directory.ts'
import { collectionAndUsage } from './0003-collection-and-usage.ts'
import { moves } from './0004-moves.ts'
import { sharedBlobs } from './0005-shared-blobs.ts'
import { endedUploads } from './0006-ended-uploads.ts'

export const migrations: Readonly<Record<string, Migration>> = {
  '0001-registry-core': registryCore,
  '0002-directory': directory,
  '0003-collection-and-usage': collectionAndUsage,
  '0004-moves': moves,
  '0005-shared-blobs': sharedBlobs,
  '0006-ended-uploads': endedUploads,
}
