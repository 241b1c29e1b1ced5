/** Which way PostgreSQL takes when it plans a list once and for all, as it may do for what is asked often. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createTestDatabase, type TestDatabase } from '../../../test/database.ts'
import { onPostgres, postgresSkip, testPostgres } from '../../../test/postgres.ts'
import { openPostgres } from '../../backends/db/postgres.ts'
import type { PostgresServer } from '../../backends/db/postgres-server.ts'
import { createListings, type Listings } from './listings.ts'

const many = 20_000
const place = { registry: 'berth', repository: 'a/00001000' }
const digest = `sha256:${'0'.repeat(64)}` as const

describe('lists on PostgreSQL', { skip: postgresSkip, timeout: 60_000 }, () => {
  let home: TestDatabase
  let server: PostgresServer
  before(async () => {
    home = await createTestDatabase()
    server = (await testPostgres()).serverOf(home.name)
    await onPostgres(server, async (client) => {
      await client.query(`insert into registries (name, sku, admin_user_enabled, anonymous_pull_enabled,
        sparse_manifests_enabled, created_at) values ('berth', 'Premium', 1, 0, 0, '')`)
      await client.query(`insert into repositories (registry_id, name, manifest_count, created_at, updated_at)
        select 1, 'a/' || lpad(i::text, 8, '0'), (i % 1000 = 0)::int, '', '' from generate_series(1, ${many}) i`)
      await client.query(`insert into manifests (repository_id, digest, media_type, size, image_size, subject_digest,
          created_at, updated_at, bytes)
        select 1000, 'sha256:' || lpad(i::text, 64, '0'), 'm', 2, 2, '${digest}', '', '', '{}' from generate_series(1, ${many}) i`)
      await client.query(`insert into tags (repository_id, name, manifest_id, created_at, updated_at)
        select 1000, 't' || lpad(i::text, 8, '0'), i, '', '' from generate_series(1, ${many}) i`)
      await client.query('analyze')
      await client.query(`alter database ${home.name} set plan_cache_mode = force_generic_plan`)
    })
  })
  after(() => home?.drop())

  /** How many rows and entries of indexes a table gave for the work. */
  async function readFrom(table: string, work: (listings: Listings) => Promise<void>): Promise<number> {
    const soFar = async () => {
      const { rows } = await onPostgres(server, (client) =>
        client.query<{ read: string }>(
          `select coalesce(seq_tup_read, 0) + coalesce((select sum(idx_tup_read) from pg_stat_user_indexes i
             where i.relid = t.relid), 0) as read from pg_stat_user_tables t where relname = $1`,
          [table],
        ),
      )
      return Number(rows[0]?.read)
    }
    const before = await soFar()
    const db = await openPostgres({ server })
    await work(createListings(db))
    await db.dispose() // a connection tells what it has read when it ends
    return (await soFar()) - before
  }

  test('a page of the catalog reads nothing of the repositories that are not visible', async () => {
    const read = await readFrom('repositories', async (listings) => {
      const { entries } = await listings.listRepositories('berth', { limit: 100, last: '' })
      assert.equal(entries.length, many / 1000)
    })
    assert.ok(read > 0 && read < 200, `${read} were read`)
  })

  test('a page of tags reads that page, wherever it is', async () => {
    for (const last of ['', 't00010000', 't00019800']) {
      const read = await readFrom('tags', async (listings) => {
        const { entries, hasMore } = await listings.listTags(place, { limit: 100, last })
        assert.deepEqual([entries.length, hasMore], [100, true])
      })
      assert.ok(read > 0 && read < 200, `${read} were read after ${last}`)
    }
  })

  test('a page of referrers reads that page, wherever it is', async () => {
    for (const last of ['', `sha256:${'10000'.padStart(64, '0')}`]) {
      const read = await readFrom('manifests', async (listings) => {
        const { entries } = await listings.listReferrers(place, digest as never, undefined, { limit: 100, last })
        assert.equal(entries.length, 100)
      })
      assert.ok(read > 0 && read < 500, `${read} were read after ${last}`)
    }
  })
})
