/** Manifests with their bytes, which are read only for those that are not in the target yet. */
import { algorithmOf, type Digest, digestOf, digestOfManifest, ManifestError, parseManifest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { Database } from '../../backends/db/database.ts'
import type { Tables } from '../../backends/db/tables/index.ts'
import { putRows, removeRows } from './copy-rows.ts'
import { differencesOf } from './differences.ts'
import type { Parts, ReadTable } from './parts.ts'
import { isSameValue, pagesOf, type Row, untyped } from './rows.ts'

/** What a row may have megabytes of; it never changes. Not read when tables are compared. */
export const bodyColumns = ['annotations', 'bytes'] as const

const groupBytes = 8 * 1024 * 1024
const groupRows = 200
const mostNamed = 1_000

/** proves: looks at the bytes of those, too, that were there before. */
export async function copyManifests(parts: Parts, table: ReadTable, { proves }: { proves: boolean }): Promise<void> {
  const { source, target, hold, count, tell } = parts
  const { reading } = table
  const all = differencesOf(pagesOf(source.db, reading), pagesOf(target.db, reading), reading)
  for await (const { missing, changed, extra, same } of all) {
    hold.signal.throwIfAborted()
    if (extra.length > 0) await hold.changeTarget((tables) => removeRows(tables, table, extra))
    count.rows += extra.length
    for (const group of groupsOf([...changed, ...missing])) count.rows += await carry(parts, table, group)
    if (proves) for (const group of groupsOf(same)) count.rows += await prove(parts, table, group)
    tell()
  }
}

/** By the size of their bytes. */
function* groupsOf(rows: readonly Row[]): Generator<Row[]> {
  let group: Row[] = []
  let bytes = 0
  for (const row of rows) {
    if (group.length > 0 && (bytes + Number(row.size) > groupBytes || group.length >= groupRows)) {
      yield group
      ;[group, bytes] = [[], 0]
    }
    group.push(row)
    bytes += Number(row.size)
  }
  if (group.length > 0) yield group
}

async function carry({ source, hold, count }: Parts, table: ReadTable, group: readonly Row[]): Promise<number> {
  const rows = await source.db.read((tables) => wholeRows(tables, table.columns, group))
  noteDamage(count.damagedManifests, rows)
  return hold.changeTarget(async (tables) => {
    const put = await putRows(tables, table, rows)
    const stored = await wholeRows(tables, table.columns, rows)
    const strange = stored.find((row) => !isSameBody(row, rows.find(({ id }) => id === row.id) ?? {}))
    if (strange !== undefined) throw new Error(`the manifest ${strange.digest} is not stored as it was given`)
    return put
  })
}

async function prove(parts: Parts, table: ReadTable, group: readonly Row[]): Promise<number> {
  const columns = ['id', 'digest', 'media_type', ...bodyColumns]
  const read = (db: Database) => db.read((tables) => wholeRows(tables, columns, group))
  const [theirs, ours] = await Promise.all([read(parts.source.db), read(parts.target.db)])
  noteDamage(parts.count.damagedManifests, theirs)
  const stored = new Map(ours.map((row) => [row.id, row]))
  const wrong = theirs.filter((row) => !isSameBody(row, stored.get(row.id) ?? {}))
  return wrong.length === 0 ? 0 : carry(parts, table, wrong)
}

async function wholeRows(tables: Kysely<Tables>, columns: readonly string[], rows: readonly Row[]): Promise<Row[]> {
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  return untyped(tables).selectFrom('manifests').where('id', 'in', ids).select(columns).execute()
}

const isSameBody = (one: Row, other: Row) => bodyColumns.every((column) => isSameValue(one[column], other[column]))

function noteDamage(damaged: Set<string>, rows: readonly Row[]): void {
  for (const { digest, media_type: mediaType, bytes } of rows) {
    if (damaged.size >= mostNamed || isWhole(digest as Digest, String(mediaType), bytes as Uint8Array)) continue
    damaged.add(String(digest))
  }
}

/** A signed manifest of schema 1 has the digest of what was signed. */
function isWhole(digest: Digest, mediaType: string, bytes: Uint8Array): boolean {
  if (digestOf(algorithmOf(digest), bytes) === digest) return true
  try {
    return digestOfManifest(parseManifest(bytes, mediaType), bytes, algorithmOf(digest)) === digest
  } catch (error) {
    if (error instanceof ManifestError) return false
    throw error
  }
}
