/** What the steps of a move work with. */
import type { BlobStore } from '../../backends/blobs/blob-store.ts'
import type { Database } from '../../backends/db/database.ts'
import type { Clock } from '../../base/clock.ts'
import type { Hold } from './hold.ts'
import type { MovedTable } from './moved-tables.ts'
import type { Reading } from './rows.ts'

export interface Side {
  readonly db: Database
  readonly blobs: BlobStore
}

export interface Parts {
  readonly source: Side
  /** Its database is changed through the hold only. */
  readonly target: Side
  /** The bytes are where they are to be already: both sides have one blob store. */
  readonly oneStore: boolean
  readonly hold: Hold
  readonly clock: Clock
  readonly tables: readonly ReadTable[]
  /** Whether bytes in the target are proved by their size or by reading them once more. */
  readonly verify: Verify
  readonly count: Counters
  readonly tell: () => void
}

export type Verify = 'sizes' | 'full'

export interface ReadTable extends MovedTable {
  /** Without what is large: that is fetched for the rows that need it. */
  readonly reading: Reading
  readonly columns: readonly string[]
}

/** What a round has done so far. */
export interface Counters {
  blobs: number
  bytes: number
  /** Written or removed. */
  rows: number
  /** Manifests whose stored bytes are not what their digest says, the first of them. */
  readonly damagedManifests: Set<string>
}
