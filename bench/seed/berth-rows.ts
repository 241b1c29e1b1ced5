/**
 * Berth's large stores: one row of each kind is made by requests, and copied here as often as wanted, while no server has
 * the file open. Knows the names of tables and columns because a million pushes would take an hour; what it does not know
 * (columns that were added later) is copied as it is.
 */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import type { ManyManifests, ManyRepositories } from './data-sets.ts'
import type { SeedManifest } from './images.ts'

type Row = Record<string, SQLInputValue>

/** The first manifest is there already; the others become like it. */
export async function copyManifests(file: string, many: ManyManifests): Promise<void> {
  await withStore(file, ['manifests', 'manifest_references', 'tags'], (db) => {
    const first = many.manifestAt(0)
    const repository = one(db, 'select * from repositories where name = ?', many.repository)
    const template = one(
      db,
      'select * from manifests where repository_id = ? and digest = ?',
      repository.id,
      first.digest,
    )
    const references = all(db, 'select * from manifest_references where manifest_id = ?', template.id)
    const tag = db.prepare('select * from tags where manifest_id = ?').get(template.id ?? null) as Row | undefined
    const insertManifest = inserter(db, 'manifests', template)
    const insertReferences = references.map((row) => ({ row, insert: inserter(db, 'manifest_references', row) }))
    const lastId = Number(one(db, 'select max(id) as id from manifests').id)
    // In the order of the index by digest, which is then only appended to.
    const byDigest = Array.from({ length: many.count - 1 }, (_, at) => ({
      at: at + 1,
      digest: many.manifestAt(at + 1).digest,
    }))
    byDigest.sort((one, other) => (one.digest < other.digest ? -1 : 1))
    const ids = new Float64Array(many.count)
    let bytes = 0
    for (const [place, { at }] of byDigest.entries()) {
      const id = lastId + 1 + place
      const manifest = many.manifestAt(at)
      ids[at] = id
      bytes += manifest.bytes.length
      insertManifest({ ...template, id, ...columnsOf(manifest, first, template) })
      for (const { row, insert } of insertReferences) insert({ ...row, manifest_id: id })
    }
    if (tag !== undefined) {
      const insertTag = inserter(db, 'tags', tag)
      for (let at = 1; at < many.count; at++) {
        insertTag({ ...tag, name: many.manifestAt(at).tag ?? '', manifest_id: ids[at] ?? 0 })
      }
    }
    const added = many.count - 1
    db.prepare('update repositories set manifest_count = manifest_count + ? where id = ?').run(
      added,
      repository.id ?? null,
    )
    addUsage(db, 'repository_usage', 'repository_id', repository.id, bytes)
    addUsage(db, 'registry_usage', 'registry_id', repository.registry_id, bytes)
  })
}

/** The first repository is there already, with its manifest. */
export async function copyRepositories(file: string, many: ManyRepositories): Promise<void> {
  await withStore(file, ['repositories', 'manifests', 'tags'], (db) => {
    const template = one(db, 'select * from repositories where name = ?', many.nameAt(0))
    const manifest = one(db, 'select * from manifests where repository_id = ?', template.id)
    const tag = one(db, 'select * from tags where repository_id = ?', template.id)
    const usage = hasTable(db, 'repository_usage')
      ? all(db, 'select * from repository_usage where repository_id = ?', template.id)
      : []
    const insertRepository = inserter(db, 'repositories', template)
    const insertManifest = inserter(db, 'manifests', manifest)
    const insertTag = inserter(db, 'tags', tag)
    const insertUsage = usage.map((row) => ({ row, insert: inserter(db, 'repository_usage', row) }))
    const lastRepository = Number(one(db, 'select max(id) as id from repositories').id)
    const lastManifest = Number(one(db, 'select max(id) as id from manifests').id)
    for (let at = 1; at < many.count; at++) {
      const [id, manifestId] = [lastRepository + at, lastManifest + at]
      insertRepository({ ...template, id, name: many.nameAt(at) })
      insertManifest({ ...manifest, id: manifestId, repository_id: id })
      insertTag({ ...tag, repository_id: id, manifest_id: manifestId })
      for (const { row, insert } of insertUsage) insert({ ...row, repository_id: id })
    }
    const bytes = Number(manifest.size) * (many.count - 1)
    addUsage(db, 'registry_usage', 'registry_id', template.registry_id, bytes)
  })
}

/** What of a manifest's row is its own. Sizes that include it grow and shrink with it. */
function columnsOf({ digest, bytes, annotations }: SeedManifest, first: SeedManifest, template: Row): Row {
  return {
    digest,
    bytes,
    size: bytes.length,
    image_size: Number(template.image_size) + bytes.length - first.bytes.length,
    ...(annotations === undefined ? {} : { annotations: JSON.stringify(annotations) }),
  }
}

/** Counters that came with usage; stores from before have none. */
function addUsage(db: DatabaseSync, table: string, key: string, id: SQLInputValue | undefined, bytes: number): void {
  if (!hasTable(db, table)) return
  const { changes } = db
    .prepare(
      `update ${table} set manifest_bytes = manifest_bytes + ? where ${key} = ? and shard = (select min(shard) from ${table} where ${key} = ?)`,
    )
    .run(bytes, id ?? null, id ?? null)
  if (changes !== 1) throw new Error(`${table} has no row to add to`)
}

/** In one transaction, nothing of it synced, and the indexes that are not part of a table made anew at the end. */
async function withStore(file: string, tables: readonly string[], fill: (db: DatabaseSync) => void): Promise<void> {
  const db = new DatabaseSync(file, { timeout: 10_000 })
  try {
    await leaveLog(db)
    db.exec('pragma synchronous = off; pragma cache_size = -400000; pragma foreign_keys = off')
    db.exec('begin')
    const indexes = all(db, "select name, tbl_name, sql from sqlite_master where type = 'index' and sql is not null")
    const dropped = indexes.filter(({ tbl_name }) => tables.includes(String(tbl_name)))
    for (const { name } of dropped) db.exec(`drop index "${name}"`)
    fill(db)
    for (const { sql } of dropped) db.exec(String(sql))
    db.exec('commit')
    db.exec('pragma journal_mode = wal')
  } finally {
    db.close()
  }
}

const lockPatienceMs = 10_000

/** SQLite does not wait here for who is about to close the file: a process is gone a moment before its locks are. */
async function leaveLog(db: DatabaseSync): Promise<void> {
  for (const deadline = performance.now() + lockPatienceMs; ; await pause(20)) {
    try {
      db.exec('pragma journal_mode = memory')
      return
    } catch (error) {
      if (!/locked/.test((error as Error).message) || performance.now() > deadline) throw error
    }
  }
}

function inserter(db: DatabaseSync, table: string, template: Row): (row: Row) => void {
  const columns = Object.keys(template)
  const statement = db.prepare(
    `insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`,
  )
  return (row) => void statement.run(...columns.map((column) => row[column] ?? null))
}

function one(db: DatabaseSync, query: string, ...values: readonly (SQLInputValue | undefined)[]): Row {
  const row = db.prepare(query).get(...values.map((value) => value ?? null)) as Row | undefined
  if (row === undefined) throw new Error(`the store that is to be filled has nothing for: ${query}`)
  return row
}

const all = (db: DatabaseSync, query: string, ...values: readonly (SQLInputValue | undefined)[]): Row[] =>
  db.prepare(query).all(...values.map((value) => value ?? null)) as Row[]

const hasTable = (db: DatabaseSync, name: string): boolean =>
  db.prepare("select 1 from sqlite_master where type = 'table' and name = ?").get(name) !== undefined
