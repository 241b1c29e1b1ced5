/**
 * The registry core: repositories, manifests, tags, blobs, upload sessions, referrers. It knows no HTTP; planes, jobs and
 * tests call it alike. Start reading at `manifests.ts` and `uploads.ts`.
 */
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import { type Blobs, createBlobs } from './blobs.ts'
import { createListings, type Listings } from './listings.ts'
import { createManifests, type Manifests } from './manifests.ts'
import { createUploads, type Uploads } from './uploads.ts'
import { createUsageReader, type UsageReader } from './usage.ts'

export interface Registry extends Blobs, Listings, Manifests, Uploads, UsageReader {}

export interface RegistryParts {
  readonly db: Database
  readonly blobs: BlobStore
  readonly clock: Clock
  /** Keys the checksum in session names; 16 bytes or more, the same in every process. */
  readonly sessionKey: Uint8Array
  /** How long blobs stay that nothing refers to any more. */
  readonly graceMs: number
  /** What this server is called among those on the same database. */
  readonly node: string
}

export function createRegistry({ db, blobs, clock, sessionKey, graceMs, node }: RegistryParts): Registry {
  const ofBlobs = createBlobs(db, blobs, clock, graceMs)
  return {
    ...ofBlobs,
    ...createListings(db),
    ...createManifests(db, blobs, clock),
    ...createUploads(db, blobs, clock, sessionKey, node, ofBlobs.forgetBlob),
    ...createUsageReader(db),
  }
}
