/** `registry_blobs`: how many repositories of a registry link a blob. */
import type { Kysely } from 'kysely'
import type { Tables } from '../../../backends/db/tables/index.ts'
import { type Check, type Parts, pages, type Repair, type Scanned, type Trouble } from './finding.ts'

const pageRows = 500

interface CountKey {
  readonly registry_id: number
  readonly digest: string
}

interface Counts {
  readonly registry: string
  /** What is noted; null where nothing is. */
  readonly noted: number | null
  readonly links: number
}

export function linkCounts({ db }: Parts): Check<CountKey> {
  async function* scan(): AsyncGenerator<Scanned<CountKey>> {
    yield* noted()
    yield* notNoted()
  }

  async function* noted() {
    for await (const rows of pages((last?: CountKey) => readNoted(last))) {
      yield { looked: rows.length, suspects: rows.filter(({ links, actual }) => links !== actual) }
    }
  }

  const readNoted = (last: CountKey = { registry_id: -1, digest: '' }) =>
    db.read((tables) =>
      tables
        .selectFrom('registry_blobs')
        .where(({ eb, refTuple, tuple }) =>
          eb(
            refTuple('registry_blobs.registry_id', 'registry_blobs.digest'),
            '>',
            tuple(last.registry_id, last.digest),
          ),
        )
        .orderBy('registry_blobs.registry_id')
        .orderBy('registry_blobs.digest')
        .limit(pageRows)
        .select(['registry_id', 'digest', 'links'])
        .select((row) =>
          row
            .selectFrom('repository_blobs as link')
            .innerJoin('repositories', 'repositories.id', 'link.repository_id')
            .whereRef('link.digest', '=', 'registry_blobs.digest')
            .whereRef('repositories.registry_id', '=', 'registry_blobs.registry_id')
            .select(({ fn }) => fn.countAll<number>().as('count'))
            .as('actual'),
        )
        .execute(),
    )

  /** In the order of digests, so that the links of one blob stand together. */
  async function* notNoted() {
    type Link = { readonly digest: string; readonly repository_id: number; readonly registry_id: number }
    let reported = new Set<number>()
    let digest = ''
    for await (const rows of pages((last?: Link) => readNotNoted(last))) {
      const suspects: CountKey[] = []
      for (const row of rows) {
        if (row.digest !== digest) reported = new Set()
        digest = row.digest
        if (row.noted === null && !reported.has(row.registry_id)) suspects.push(row)
        if (row.noted === null) reported.add(row.registry_id)
      }
      yield { looked: 0, suspects } // the same links as before
    }
  }

  const readNotNoted = (last: { readonly digest: string; readonly repository_id: number } | undefined) =>
    db.read((tables) =>
      tables
        .selectFrom('repository_blobs')
        .innerJoin('repositories', 'repositories.id', 'repository_blobs.repository_id')
        .leftJoin('registry_blobs', (join) =>
          join
            .onRef('registry_blobs.registry_id', '=', 'repositories.registry_id')
            .onRef('registry_blobs.digest', '=', 'repository_blobs.digest'),
        )
        .where(({ eb, refTuple, tuple }) =>
          eb(
            refTuple('repository_blobs.digest', 'repository_blobs.repository_id'),
            '>',
            tuple(last?.digest ?? '', last?.repository_id ?? -1),
          ),
        )
        .orderBy('repository_blobs.digest')
        .orderBy('repository_blobs.repository_id')
        .limit(pageRows)
        .select(['repository_blobs.digest', 'repository_blobs.repository_id', 'repositories.registry_id'])
        .select('registry_blobs.links as noted')
        .execute(),
    )

  async function look(key: CountKey): Promise<Trouble[]> {
    const counts = await db.read((tables) => count(tables, key))
    if (counts === undefined || isRight(counts)) return []
    const size = await db.read((tables) =>
      tables.selectFrom('blobs').where('digest', '=', key.digest).select('size').executeTakeFirst(),
    )
    return [
      {
        kind: 'wrong link count',
        name: key.digest,
        where: [counts.registry],
        elsewhere: 0,
        detail: `${counts.noted ?? 0} are noted, and ${counts.links} link it`,
        bytes: size?.size ?? 0,
        repair: () => db.write((tables) => recount(tables, key)),
      },
    ]
  }

  return { things: 'link counts', scan, look }
}

const isRight = ({ noted, links }: Counts) => (noted ?? 0) === links && noted !== 0

/** In one statement, so that both are of one moment. */
const count = (tables: Kysely<Tables>, { registry_id, digest }: CountKey): Promise<Counts | undefined> =>
  tables
    .selectFrom('registries')
    .where('registries.id', '=', registry_id)
    .select('registries.name as registry')
    .select(({ selectFrom }) => [
      selectFrom('registry_blobs')
        .where('registry_id', '=', registry_id)
        .where('digest', '=', digest)
        .select('links')
        .as('noted'),
      selectFrom('repository_blobs as link')
        .innerJoin('repositories', 'repositories.id', 'link.repository_id')
        .where('link.digest', '=', digest)
        .where('repositories.registry_id', '=', registry_id)
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .$asScalar()
        .$notNull()
        .as('links'),
    ])
    .executeTakeFirst()

async function recount(tables: Kysely<Tables>, key: CountKey): Promise<Repair> {
  const counts = await count(tables, key)
  if (counts === undefined || isRight(counts)) return 'changed'
  const { links } = counts
  if (links === 0) {
    await tables
      .deleteFrom('registry_blobs')
      .where('registry_id', '=', key.registry_id)
      .where('digest', '=', key.digest)
      .execute()
  } else {
    await tables
      .insertInto('registry_blobs')
      .values({ registry_id: key.registry_id, digest: key.digest, links })
      .onConflict((conflict) => conflict.columns(['registry_id', 'digest']).doUpdateSet({ links }))
      .execute()
  }
  return { done: `${links} are noted` }
}
