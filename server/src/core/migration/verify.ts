/** Whether two databases hold the same, by what is really in them. */
import { createHash } from 'node:crypto'
import type { Database } from '../../backends/db/database.ts'
import { numberedTables, readLastId } from '../../backends/db/last-ids.ts'
import { MigrationError } from './migration-error.ts'
import type { Parts } from './parts.ts'
import { pagesOf, type Reading } from './rows.ts'

interface Sum {
  readonly rows: number
  readonly checksum: string
}

/** Returns the number of rows by table. Throws `MigrationError` that names what is not the same. */
export async function verifyRows({ source, target, tables, hold, tell }: Parts): Promise<ReadonlyMap<string, number>> {
  const rows = new Map<string, number>()
  const wrong: string[] = []
  for (const { name, reading } of tables) {
    const sum = (db: Database) => sumOf(db, reading, hold.signal, tell)
    const [theirs, ours] = await Promise.all([sum(source.db), sum(target.db)])
    rows.set(name, ours.rows)
    if (theirs.rows !== ours.rows) wrong.push(`${name} (${theirs.rows} rows in the source, ${ours.rows} in the target)`)
    else if (theirs.checksum !== ours.checksum) wrong.push(`${name} (other values)`)
  }
  for (const name of numberedTables) {
    const last = (db: Database) => db.read((handle) => readLastId(handle, name))
    const [theirs, ours] = await Promise.all([last(source.db), last(target.db)])
    if (theirs !== ours) wrong.push(`the last id of ${name} (${theirs} in the source, ${ours} in the target)`)
  }
  if (wrong.length > 0) throw new MigrationError(`the target is not like the source: ${wrong.join(', ')}`)
  return rows
}

async function sumOf(db: Database, reading: Reading, signal: AbortSignal, tell: () => void): Promise<Sum> {
  const hash = createHash('sha256')
  let rows = 0
  for await (const page of pagesOf(db, reading)) {
    signal.throwIfAborted()
    const values = page.map((row) => reading.columns.map((column) => plain(row[column])))
    hash.update(JSON.stringify(values.flat()))
    rows += page.length
    tell()
  }
  return { rows, checksum: hash.digest('hex') }
}

const plain = (value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value)
