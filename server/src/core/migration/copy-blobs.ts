/**
 * Blobs with their bytes. **A row in the target that is not marked as damaged means: its bytes are there.** It is written
 * when they are, and goes after they have gone; that is how the next run knows what it need not copy.
 */
import type { Selectable } from 'kysely'
import type { BlobsTable } from '../../backends/db/tables/blobs.ts'
import { timestamp } from '../../base/timestamp.ts'
import { storedDigest } from '../registry/stored-digest.ts'
import { copyBytes, isProved } from './blob-bytes.ts'
import { putRows, removeRows } from './copy-rows.ts'
import { differencesOf } from './differences.ts'
import type { Parts, ReadTable } from './parts.ts'
import { pagesOf, type Row } from './rows.ts'
import { Several } from './several.ts'

type BlobRow = Row & Selectable<BlobsTable>

/** Small ones cost time, large ones memory. */
const capacity = 16
const weightOf = ({ size }: BlobRow) => (size > 4 * 1024 * 1024 ? 4 : 1)

/** proves: looks for the bytes of those, too, that were there before. */
export async function copyBlobs(parts: Parts, table: ReadTable, { proves }: { proves: boolean }): Promise<void> {
  const { source, target, hold } = parts
  const { reading } = table
  const several = new Several(capacity)
  const begin = (row: Row, work: (row: BlobRow) => Promise<void>) =>
    several.add(weightOf(row as BlobRow), () => work(row as BlobRow))
  try {
    const all = differencesOf(pagesOf(source.db, reading), pagesOf(target.db, reading), reading)
    for await (const { missing, changed, extra, same } of all) {
      hold.signal.throwIfAborted()
      for (const row of missing) await begin(row, (blob) => bring(parts, table, blob))
      for (const row of changed) await begin(row, (blob) => bringUnlessThere(parts, table, blob))
      for (const row of extra) await begin(row, (blob) => drop(parts, table, blob))
      if (proves) for (const row of same) await begin(row, (blob) => prove(parts, table, blob))
    }
    await several.end()
  } finally {
    await several.settled()
  }
}

async function prove(parts: Parts, table: ReadTable, row: BlobRow): Promise<void> {
  if (row.damaged_at === null && !(await isThere(parts, row))) await bring(parts, table, row)
}

async function bringUnlessThere(parts: Parts, table: ReadTable, row: BlobRow): Promise<void> {
  if (row.damaged_at === null && !(await isThere(parts, row))) await bring(parts, table, row)
  else await put(parts, table, row)
}

const isThere = ({ target, verify, hold }: Parts, { digest, size }: BlobRow) =>
  isProved(target.blobs, storedDigest(digest), size, verify, hold.signal)

/** Bytes, then the row. A blob whose bytes are bad is marked on both sides, so that whoever pushes it mends it. */
async function bring(parts: Parts, table: ReadTable, row: BlobRow): Promise<void> {
  for (let tries = 1; ; tries++) {
    if (row.damaged_at !== null || (await copyBytes(parts, storedDigest(row.digest), row.size))) {
      return put(parts, table, row)
    }
    // It may have been collected or pushed anew meanwhile.
    const now = await findRow(parts, table, row)
    if (now === undefined) return
    if (tries > 1 && now.damaged_at === null && now.scrubbed_at === row.scrubbed_at) {
      return put(parts, table, await markDamaged(parts, now))
    }
    row = now
  }
}

/** Undefined when it is not to be moved any more. */
async function findRow({ source }: Parts, { reading }: ReadTable, { digest }: BlobRow): Promise<BlobRow | undefined> {
  const row = await source.db.read((tables) =>
    tables
      .selectFrom('blobs')
      .selectAll()
      .where('digest', '=', digest)
      .$if(reading.filter !== undefined, (query) => query.where(reading.filter!))
      .executeTakeFirst(),
  )
  return row as BlobRow | undefined
}

async function markDamaged({ source, clock }: Parts, row: BlobRow): Promise<BlobRow> {
  const damaged_at = timestamp(clock)
  await source.db.write(
    (tables) =>
      tables
        .updateTable('blobs')
        .set({ damaged_at })
        .where('digest', '=', row.digest)
        .where('scrubbed_at', '=', row.scrubbed_at) // a push moves it
        .where('damaged_at', 'is', null)
        .execute(),
    { move: 'ignores' },
  )
  return { ...row, damaged_at }
}

async function put({ hold, count, tell }: Parts, table: ReadTable, row: BlobRow): Promise<void> {
  await hold.changeTarget((tables) => putRows(tables, table, [row]))
  count.blobs++
  tell()
}

async function drop({ target, hold, count }: Parts, table: ReadTable, row: BlobRow): Promise<void> {
  await target.blobs.delete(storedDigest(row.digest))
  await hold.changeTarget((tables) => removeRows(tables, table, [row]))
  count.rows++
}
