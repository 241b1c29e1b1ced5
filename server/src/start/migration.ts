/** From the configurations of two servers to a move between what they keep: opens both sides, and closes them again. */
import { existsSync } from 'node:fs'
import type { Database } from '../backends/db/database.ts'
import { checkBlobs, openBlobStore, openDatabase } from '../backends/open.ts'
import { systemClock } from '../base/clock.ts'
import { noDataFolder } from '../base/data-folder.ts'
import { loadKeys } from '../base/secret-key.ts'
import { placeOfBlobs } from '../config/blobs-place.ts'
import type { Config } from '../config/config.ts'
import { formatDatabaseUrl } from '../config/database-url.ts'
import type { Place } from '../core/migration/hold.ts'
import { type MigrationOptions, type Moved, migrate } from '../core/migration/migrate.ts'
import { MigrationError } from '../core/migration/migration-error.ts'
import { findMove } from '../core/migration/moves.ts'
import { undoMove } from '../core/migration/undo.ts'

export { MigrationError } from '../core/migration/migration-error.ts'

/** What a server's configuration says about what it keeps. */
export type Kept = Pick<Config, 'dataFolder' | 'db' | 'blobs' | 'secretKey'>

export interface MoveOptions
  extends Pick<MigrationOptions, 'verify' | 'signal' | 'onProgress' | 'onWaiting' | 'limits'> {
  /** Called every few seconds while a database or a store does not answer. */
  readonly onSilence: (name: string, reason: string) => void
}

const patienceMs = 30_000

/** As `migrate`. Throws `MigrationError` also when a side cannot be opened. */
export async function moveKept(from: Kept, to: Kept, options: MoveOptions): Promise<Moved | undefined> {
  checkPlaces(from, to)
  await checkKeys(from, to)
  await using opened = new AsyncDisposableStack()
  const disposing = <T extends { dispose(): Promise<void> }>(part: T): T => opened.adopt(part, (open) => open.dispose())
  const open = async (side: Kept) => ({
    db: disposing(await openOne(side, options.onSilence)),
    blobs: disposing(await telling(openStore(side, options.onSilence))),
  })
  const source = await open(from)
  const target = await open(to)
  return await migrate({ ...options, source, target, from: placeOf(from), to: placeOf(to), clock: systemClock })
}

/**
 * As `undoMove`. to: where everything has moved; undefined for where the source says. lossy: without looking there, whatever
 * was changed.
 */
export async function undoKept(
  from: Kept,
  to: Kept | undefined,
  { lossy, kept }: { readonly lossy: boolean; readonly kept: (database: string) => Kept },
): Promise<boolean> {
  checkPlaces(from, undefined)
  await using opened = new AsyncDisposableStack()
  const open = async (side: Kept) => opened.adopt(await openOne(side), (db) => db.dispose())
  const source = await open(from)
  const move = await findMove(source)
  if (move === undefined || lossy) return await undoMove(source, undefined, systemClock)
  return await undoMove(source, await open(to ?? kept(move.database)), systemClock)
}

/** As settings spell it, without secrets, and without the path of a file that may hold some. */
export function placeOf({ db, blobs }: Pick<Kept, 'db' | 'blobs'>): Place {
  return {
    database: db.kind === 'sqlite' ? db.file : formatDatabaseUrl({ ...db, passfile: '' }),
    blobs: placeOfBlobs(blobs),
  }
}

function checkPlaces(from: Kept, to: Kept | undefined): void {
  const reason = from.db.kind === 'sqlite' ? noDataFolder(from.dataFolder, from.db.file) : undefined
  if (reason !== undefined) throw new MigrationError(reason)
  if (to !== undefined && placeOf(from).database === placeOf(to).database)
    throw new MigrationError(`${placeOf(to).database} is where everything is already; name another database`)
}

/** What is sealed in the database stays so, and nothing but the same key opens it. */
async function checkKeys(from: Kept, to: Kept): Promise<void> {
  const keys = await telling(loadKeys(from.secretKey))
  if (to.secretKey === from.secretKey || !existsSync(to.secretKey)) return
  const others = await telling(loadKeys(to.secretKey))
  if (Buffer.compare(keys.seal, others.seal) === 0) return
  throw new MigrationError(`${to.secretKey} is another key than ${from.secretKey}, which seals secrets that move along`)
}

function openOne(side: Kept, onSilence?: MoveOptions['onSilence']): Promise<Database> {
  const { database } = placeOf(side)
  const onWaiting = (reason: string) => onSilence?.(database, reason)
  return telling(openDatabase(side.db, systemClock, { patienceMs, onWaiting }))
}

async function openStore({ blobs }: Kept, onSilence: MoveOptions['onSilence']) {
  await checkBlobs(blobs, { patienceMs, onWaiting: onSilence })
  return openBlobStore(blobs)
}

/** A wrong name, password or permission is the operator's to put right; a bug keeps its stack trace. */
async function telling<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error
    throw new MigrationError(error.message, { cause: error })
  }
}
