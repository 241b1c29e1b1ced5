/** The rows of `repository_blobs`: against the blobs, and against the manifests that name them. */
import { type Digest, parseDigest } from '@berth/oci'
import type { Kysely } from 'kysely'
import type { Database } from '../../../backends/db/database.ts'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { timestamp } from '../../../base/timestamp.ts'
import { isNamed, reviewLinks, unlinkBlobs, useNamedLink } from '../links.ts'
import { examineBlob } from './examine-blob.ts'
import { type Check, type Parts, pages, type Repair, type Trouble } from './finding.ts'

const pageRows = 500

interface LinkKey {
  readonly repository_id: number
  readonly digest: string
}

/** Links whose blob the database does not know. */
export function lostLinks(parts: Parts): Check<LinkKey> {
  const { db } = parts

  async function look(key: LinkKey): Promise<Trouble[]> {
    const link = await findLink(db, key)
    if (link === undefined || link.blob !== null) return []
    const digest = parseDigest(key.digest)
    if (digest === undefined) return [{ kind: 'malformed digest', ...aboutLink(link), detail: '' }]
    const repair = () => findBlob(parts, { ...key, digest })
    return [{ kind: 'link without a blob', ...aboutLink(link), detail: '', repair }]
  }

  return { things: 'links', scan: () => scan(db, ({ blob }) => blob === null), look }
}

/** Whether manifests and `unused_since` say the same. */
export function linkQueue({ db, clock }: Parts): Check<LinkKey> {
  const isWrong = (link: LinkRow) => isQueued(link) === Boolean(link.named)

  async function look(key: LinkKey): Promise<Trouble[]> {
    const link = await findLink(db, key)
    if (link === undefined || !isWrong(link)) return []
    const queued = isQueued(link)
    return [
      {
        kind: queued ? 'queued link' : 'unqueued link',
        ...aboutLink(link),
        detail: queued ? `queued since ${link.unused_since}` : '',
        repair: () => requeue(key, queued),
      },
    ]
  }

  async function requeue({ repository_id, digest }: LinkKey, queued: boolean): Promise<Repair> {
    await db.write((tables) =>
      queued
        ? useNamedLink(tables, repository_id, digest)
        : reviewLinks(tables, repository_id, [digest], timestamp(clock)),
    )
    return { done: queued ? 'it is not up for collection any more' : 'it is up for collection' }
  }

  return { things: 'references to links', scan: () => scan(db, isWrong), look }
}

interface LinkRow extends LinkKey {
  readonly unused_since: string | null
  /** Null where there is none. */
  readonly blob: string | null
  readonly named: unknown
}

async function* scan(db: Database, isSuspect: (link: LinkRow) => boolean) {
  for await (const rows of pages((last?: LinkRow) => readPage(db, last))) {
    yield { looked: rows.length, suspects: rows.filter(isSuspect) }
  }
}

const findLink = (db: Database, key: LinkKey) =>
  db.read((tables) =>
    links(tables)
      .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
      .innerJoin('registries', 'registries.id', 'repositories.registry_id')
      .where('repository_blobs.repository_id', '=', key.repository_id)
      .where('repository_blobs.digest', '=', key.digest)
      .select(['blobs.size', 'registries.name as registry', 'repositories.name as repository'])
      .executeTakeFirst(),
  )

const aboutLink = (link: NonNullable<Awaited<ReturnType<typeof findLink>>>) => ({
  name: link.digest,
  where: [`${link.registry}/${link.repository}`],
  elsewhere: 0,
  bytes: link.size ?? 0,
})

const isQueued = (link: LinkRow) => link.unused_since !== null

const links = (tables: Kysely<Tables>) =>
  tables
    .selectFrom('repository_blobs')
    .leftJoin('blobs', 'blobs.digest', 'repository_blobs.digest')
    .select(['repository_blobs.repository_id', 'repository_blobs.digest', 'repository_blobs.unused_since'])
    .select('blobs.digest as blob')
    .select((link) => isNamed(link).as('named'))

const readPage = (db: Database, last: LinkKey = { repository_id: -1, digest: '' }) =>
  db.read((tables) =>
    links(tables)
      .where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple('repository_blobs.repository_id', 'repository_blobs.digest'),
          '>',
          tuple(last.repository_id, last.digest),
        ),
      )
      .orderBy('repository_blobs.repository_id')
      .orderBy('repository_blobs.digest')
      .limit(pageRows)
      .execute(),
  )

/** Where the bytes are there and right, only the row was lost. */
async function findBlob(
  { db, store, clock }: Parts,
  { repository_id, digest }: LinkKey & { readonly digest: Digest },
): Promise<Repair> {
  const bytes = await examineBlob(store, digest)
  return db.write(async (tables): Promise<Repair> => {
    const now = timestamp(clock)
    const known = await tables.selectFrom('blobs').where('digest', '=', digest).select('digest').executeTakeFirst()
    if (known !== undefined) return 'changed'
    if (bytes.kind === 'read' && bytes.actual === digest) {
      await tables.insertInto('blobs').values({ digest, size: bytes.size, created_at: now, scrubbed_at: now }).execute()
      return { done: 'the blob is entered anew, with the bytes that are there' }
    }
    await unlinkBlobs(tables, repository_id, [digest], now)
    return { done: 'the link is removed: right bytes are not there' }
  })
}
