/** Manifests: their bytes, what their rows say of them, what they name, and whether a collection would find them. */
import { isForeignLayerType, type ManifestDocument, parseDigest } from '@berth/oci'
import type { ExpressionBuilder, Kysely } from 'kysely'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { Fault } from '../../../base/fault.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { platformOf } from '../image-platform.ts'
import { isNeeded, reviewManifest } from '../needed-manifests.ts'
import { examineBlob } from './examine-blob.ts'
import { type Check, listed, type Parts, pages, type Repair, type Trouble, unlessRefused } from './finding.ts'
import { judgeManifest, type StoredManifest } from './judge-manifest.ts'
import { mendBytes, mendRow, type Platform, readManifest } from './mend-manifest.ts'

const pageRows = 500

/** So much is in memory at once, or one manifest. */
const groupBytes = 1024 * 1024

type Row = StoredManifest & Platform

interface ManifestSuspect {
  readonly id: number
}

export function manifests(parts: Parts): Check<ManifestSuspect> {
  const { db, clock } = parts

  async function* scan() {
    for await (const rows of pages((last?: { id: number }) => readSizes(db, last?.id ?? -1))) {
      for (const group of groupsOf(rows)) yield lookAtGroup(group)
    }
  }

  /** In a few queries for many manifests. */
  async function lookAtGroup(ids: readonly number[]) {
    const { rows, references, unqueued, unresolved } = await readGroup(db, ids)
    const referencesOf = Map.groupBy(references, (reference) => reference.manifest_id)
    const suspects = new Set([...unqueued, ...unresolved].map(({ id }) => id))
    for (const row of rows) {
      const judgement = judgeManifest(row, referencesOf.get(row.id) ?? [])
      const wrong = judgement.kind !== 'sound' || judgement.wrong.length > 0
      if (wrong || (await findPlatformTrouble(parts, row, judgement.document)) !== undefined) suspects.add(row.id)
    }
    const bytes = rows.reduce((sum, row) => sum + row.bytes.length, 0)
    return {
      looked: rows.length,
      bytes,
      suspects: [...suspects].sort((one, other) => one - other).map((id) => ({ id })),
    }
  }

  async function look({ id }: ManifestSuspect): Promise<Trouble[]> {
    const found = await db.read((tables) => readManifest(tables, id))
    if (found === undefined) return []
    const { row, references } = found
    const place = await placeOf(db, row.repository_id)
    const tags = await tagsOf(db, id)
    const about = {
      name: row.digest,
      where: [`${place.registry}/${place.repository}`],
      elsewhere: 0,
      bytes: row.bytes.length,
    }
    const said = (text: string) => [text, ...tags].filter((part) => part !== '').join('; ')
    const judgement = judgeManifest(row, references)
    if (judgement.kind === 'damaged') {
      const repair = () => mendBytes(db, clock, id)
      return [{ kind: 'damaged manifest', ...about, detail: said(judgement.detail), repair }]
    }
    if (judgement.kind === 'unreadable') {
      const kind = parseDigest(row.digest) === undefined ? 'malformed digest' : 'unreadable manifest'
      return [{ kind, ...about, detail: said(judgement.detail) }]
    }
    const troubles: Trouble[] = []
    const platform = await findPlatformTrouble(parts, row, judgement.document)
    const wrong = [...judgement.wrong, ...(platform === undefined ? [] : [platformText(row, platform)])]
    if (wrong.length > 0) {
      const repair = () => mendRow(db, clock, id, platform)
      troubles.push({ kind: 'wrong manifest row', ...about, detail: said(wrong.join(', ')), repair })
    }
    const group = await readGroup(db, [id])
    if (group.unqueued.length > 0) {
      troubles.push({ kind: 'unqueued manifest', ...about, detail: '', repair: () => queue(id) })
    }
    const elsewhere = foreignLayersOf(judgement.document)
    const named = new Set(judgement.named.map(({ role, digest }) => `${role} ${digest}`))
    const absent = group.unresolved.filter(({ role, digest }) => named.has(`${role} ${digest}`))
    for (const [kind, some] of Map.groupBy(absent, (one) => kindOfAbsent(one, place.sparse, elsewhere))) {
      const names = some.map(({ role, digest, damaged_at }) =>
        damaged_at === null ? `${role} ${digest}` : `${role} ${digest} (damaged)`,
      )
      troubles.push({ kind, ...about, detail: said(listed(names)) })
    }
    return troubles
  }

  function queue(id: number): Promise<Repair> {
    return db.write(async (tables) => {
      await reviewManifest(tables, id, timestamp(clock))
      return { done: 'it is up for collection' }
    })
  }

  return { things: 'manifests', scan, look }
}

const readSizes = (db: Database, after: number) =>
  db.read((tables) =>
    tables
      .selectFrom('manifests')
      .where('id', '>', after)
      .orderBy('id')
      .limit(pageRows)
      .select(['id', ({ fn }) => fn<number>('octet_length', ['bytes']).as('length')])
      .execute(),
  )

function* groupsOf(rows: readonly { readonly id: number; readonly length: number }[]): Generator<number[]> {
  let [ids, bytes]: [number[], number] = [[], 0]
  for (const { id, length } of rows) {
    if (ids.length > 0 && bytes + length > groupBytes) {
      yield ids
      ;[ids, bytes] = [[], 0]
    }
    ids.push(id)
    bytes += length
  }
  yield ids
}

interface Unresolved {
  readonly id: number
  readonly role: 'config' | 'layer' | 'child'
  readonly digest: string
  /** Set where the repository has the blob and cannot use it. */
  readonly damaged_at: string | null
}

async function readGroup(db: Database, ids: readonly number[]) {
  return db.read(async (tables) => ({
    rows: await tables.selectFrom('manifests').where('id', 'in', ids).orderBy('id').selectAll().execute(),
    references: await tables
      .selectFrom('manifest_references')
      .where('manifest_id', 'in', ids)
      .select(['manifest_id', 'role', 'digest', 'repository_id'])
      .execute(),
    unqueued: await tables
      .selectFrom('manifests')
      .where('id', 'in', ids)
      .where((manifest) => manifest.not(manifest.or([isNeeded(manifest), isQueued(manifest), isGoing(manifest)])))
      .select('id')
      .execute(),
    unresolved: [...(await absentBlobs(tables, ids)), ...(await absentChildren(tables, ids))],
  }))
}

const isQueued = (manifest: ExpressionBuilder<Tables, 'manifests'>) =>
  manifest.exists(
    manifest
      .selectFrom('unneeded_manifests')
      .whereRef('unneeded_manifests.manifest_id', '=', 'manifests.id')
      .select((row) => row.lit(1).as('one')),
  )

/** Its subject was deleted, and it follows. */
const isGoing = (manifest: ExpressionBuilder<Tables, 'manifests'>) =>
  manifest.exists(
    manifest
      .selectFrom('deleted_subjects')
      .whereRef('deleted_subjects.repository_id', '=', 'manifests.repository_id')
      .whereRef('deleted_subjects.digest', '=', 'manifests.subject_digest')
      .whereRef('deleted_subjects.newest_referrer_id', '>=', 'manifests.id')
      .select((row) => row.lit(1).as('one')),
  )

/** In one statement: links may go together with the manifest at any time. */
const absentBlobs = (tables: Kysely<Tables>, ids: readonly number[]): Promise<Unresolved[]> =>
  tables
    .selectFrom('manifest_references')
    .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
    .leftJoin('repository_blobs', (join) =>
      join
        .onRef('repository_blobs.repository_id', '=', 'manifests.repository_id')
        .onRef('repository_blobs.digest', '=', 'manifest_references.digest'),
    )
    .leftJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .where('manifest_references.manifest_id', 'in', ids)
    .where('manifest_references.role', 'in', ['config', 'layer'])
    .where(({ eb, or }) => or([eb('blobs.digest', 'is', null), eb('blobs.damaged_at', 'is not', null)]))
    .orderBy('manifest_references.manifest_id')
    .select(['manifest_references.manifest_id as id', 'manifest_references.role', 'manifest_references.digest'])
    .select('blobs.damaged_at')
    .execute()

const absentChildren = (tables: Kysely<Tables>, ids: readonly number[]): Promise<Unresolved[]> =>
  tables
    .selectFrom('manifest_references')
    .innerJoin('manifests', 'manifests.id', 'manifest_references.manifest_id')
    .leftJoin('manifests as child', (join) =>
      join
        .onRef('child.repository_id', '=', 'manifests.repository_id')
        .onRef('child.digest', '=', 'manifest_references.digest'),
    )
    .where('manifest_references.manifest_id', 'in', ids)
    .where('manifest_references.role', '=', 'child')
    .where('child.id', 'is', null)
    .orderBy('manifest_references.manifest_id')
    .select(['manifest_references.manifest_id as id', 'manifest_references.role', 'manifest_references.digest'])
    .select(({ val }) => val<string | null>(null).as('damaged_at'))
    .execute()

function kindOfAbsent(
  { role, digest, damaged_at }: Unresolved,
  sparse: boolean,
  foreign: ReadonlySet<string>,
): 'absent children' | 'foreign layers' | 'sparse content' | 'missing content' {
  if (role === 'child') return 'absent children'
  if (foreign.has(digest)) return 'foreign layers'
  return sparse && damaged_at === null ? 'sparse content' : 'missing content'
}

const foreignLayersOf = ({ layers }: ManifestDocument): ReadonlySet<string> =>
  new Set(
    layers
      .filter(({ mediaType, urls }) => isForeignLayerType(mediaType) && (urls?.length ?? 0) > 0)
      .map(({ digest }) => digest),
  )

async function placeOf(db: Database, repositoryId: number) {
  const place = await db.read((tables) =>
    tables
      .selectFrom('repositories')
      .innerJoin('registries', 'registries.id', 'repositories.registry_id')
      .where('repositories.id', '=', repositoryId)
      .select(['registries.name as registry', 'repositories.name as repository', 'sparse_manifests_enabled'])
      .executeTakeFirst(),
  )
  return {
    registry: place?.registry ?? '',
    repository: place?.repository ?? '',
    sparse: place?.sparse_manifests_enabled === 1,
  }
}

/** A phrase for people, or none. */
async function tagsOf(db: Database, id: number): Promise<string[]> {
  return db.read(async (tables) => {
    const tags = tables.selectFrom('tags').where('manifest_id', '=', id)
    const some = await tags.orderBy('name').limit(3).select('name').execute()
    const { count } = await tags.select(({ fn }) => fn.countAll<number>().as('count')).executeTakeFirstOrThrow()
    const names = some.map(({ name }) => name)
    return names.length === 0 ? [] : [`tagged ${listed(names, count)}`]
  })
}

/** What the image's config says, where the row says something else. The config is believed only when its bytes are right. */
async function findPlatformTrouble(
  { db, store, quick }: Parts,
  row: Row,
  document: ManifestDocument,
): Promise<Platform | undefined> {
  if (quick || document.config === undefined) return undefined
  const { digest } = document.config
  const isDamaged = async () => {
    const bytes = await unlessRefused(examineBlob(store, digest))
    return bytes instanceof Error || bytes.kind !== 'read' || bytes.actual !== digest
  }
  const place = await placeOf(db, row.repository_id)
  let found: { readonly architecture?: string; readonly os?: string }
  try {
    found = await platformOf(db, store, place, document)
  } catch (error) {
    if (error instanceof Fault || !(await isDamaged())) throw error
    return undefined // the blobs' own check tells of it
  }
  const platform = { architecture: found.architecture ?? null, os: found.os ?? null }
  const isKnown = platform.architecture !== null || platform.os !== null
  if (!isKnown || (platform.architecture === row.architecture && platform.os === row.os)) return undefined
  return (await isDamaged()) ? undefined : platform
}

const platformText = (row: Row, { os, architecture }: Platform) =>
  `the platform is ${row.os}/${row.architecture} and must be ${os}/${architecture}`
