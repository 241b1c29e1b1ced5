import { type ColumnDefinitionBuilder, type ForeignKeyConstraintBuilder, type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypesOf } from './column-types.ts'

const required = (column: ColumnDefinitionBuilder) => column.notNull()
const counter = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0)
const cascade = (key: ForeignKeyConstraintBuilder) => key.onDelete('cascade')

/**
 * Review queues for garbage collection, usage counters, leases; what the columns mean is said in `tables/`. What is there
 * already is queued or counted as if it had just been pushed: its grace begins now, since nobody knows when it began.
 */
export const collectionAndUsage: Migration = {
  async up(db: Kysely<never>) {
    const { integer, text, keyedTable } = columnTypesOf(db)

    await db.schema.alterTable('repository_blobs').addColumn('unused_since', text).execute()
    await db.schema
      .createIndex('repository_blobs_unused')
      .on('repository_blobs')
      .columns(['unused_since', 'repository_id', 'digest'])
      .where(sql.ref('unused_since'), 'is not', null)
      .execute()

    await db.schema.dropIndex('repository_blobs_digest').execute()
    await db.schema
      .createIndex('repository_blobs_digest')
      .on('repository_blobs')
      .columns(['digest', 'repository_id'])
      .execute()

    await db.schema.alterTable('blobs').addColumn('unlinked_since', text).execute()
    await db.schema.alterTable('blobs').addColumn('damaged_at', text).execute()
    await db.schema
      .alterTable('blobs')
      .addColumn('scrubbed_at', text, (column) => column.notNull().defaultTo(''))
      .execute()
    await db.schema
      .createIndex('blobs_unlinked')
      .on('blobs')
      .columns(['unlinked_since', 'digest'])
      .where(sql.ref('unlinked_since'), 'is not', null)
      .execute()
    await db.schema
      .createIndex('blobs_damaged')
      .on('blobs')
      .columns(['digest'])
      .where(sql.ref('damaged_at'), 'is not', null)
      .execute()
    await db.schema.createIndex('blobs_scrubbed_at').on('blobs').columns(['scrubbed_at', 'digest']).execute()

    // Not a column of manifests: it would be read and written together with their bytes.
    await db.schema
      .createTable('unneeded_manifests')
      .addColumn('manifest_id', integer, required)
      .addColumn('since', text, required)
      .addPrimaryKeyConstraint('unneeded_manifests_key', ['manifest_id'])
      .addForeignKeyConstraint('unneeded_manifests_manifest', ['manifest_id'], 'manifests', ['id'], cascade)
      .$call(keyedTable)
      .execute()
    await db.schema
      .createIndex('unneeded_manifests_since')
      .on('unneeded_manifests')
      .columns(['since', 'manifest_id'])
      .execute()

    // Who in a repository names a digest must not depend on how many others do.
    await db.schema.alterTable('manifest_references').addColumn('repository_id', integer, counter).execute()
    await db.schema.dropIndex('manifest_references_digest').execute()
    await sql`update manifest_references set repository_id =
      (select repository_id from manifests where manifests.id = manifest_references.manifest_id)`.execute(db)
    await db.schema
      .createIndex('manifest_references_digest')
      .on('manifest_references')
      .columns(['digest', 'repository_id'])
      .execute()

    await db.schema
      .createTable('deleted_subjects')
      .addColumn('repository_id', integer, required)
      .addColumn('digest', text, required)
      .addColumn('newest_referrer_id', integer, required)
      .addPrimaryKeyConstraint('deleted_subjects_key', ['repository_id', 'digest'])
      .addForeignKeyConstraint('deleted_subjects_repository', ['repository_id'], 'repositories', ['id'], cascade)
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('registry_blobs')
      .addColumn('registry_id', integer, required)
      .addColumn('digest', text, required)
      .addColumn('links', integer, required)
      .addPrimaryKeyConstraint('registry_blobs_key', ['registry_id', 'digest'])
      .addForeignKeyConstraint('registry_blobs_registry', ['registry_id'], 'registries', ['id'], cascade)
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('registry_usage')
      .addColumn('registry_id', integer, required)
      .addColumn('shard', integer, required)
      .addColumn('blob_bytes', integer, required)
      .addColumn('manifest_bytes', integer, required)
      .addPrimaryKeyConstraint('registry_usage_key', ['registry_id', 'shard'])
      .addForeignKeyConstraint('registry_usage_registry', ['registry_id'], 'registries', ['id'], cascade)
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('repository_usage')
      .addColumn('repository_id', integer, required)
      .addColumn('shard', integer, required)
      .addColumn('blob_bytes', integer, required)
      .addColumn('manifest_bytes', integer, required)
      .addPrimaryKeyConstraint('repository_usage_key', ['repository_id', 'shard'])
      .addForeignKeyConstraint('repository_usage_repository', ['repository_id'], 'repositories', ['id'], cascade)
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('leases')
      .addColumn('name', text, required)
      .addColumn('holder', text, required)
      .addColumn('until', text, required)
      .addPrimaryKeyConstraint('leases_key', ['name'])
      .$call(keyedTable)
      .execute()

    await db.schema
      .createIndex('upload_sessions_committing')
      .on('upload_sessions')
      .column('committing_digest')
      .where(sql.ref('committing_digest'), 'is not', null)
      .execute()
    await db.schema.createIndex('upload_sessions_store').on('upload_sessions').column('store_session').execute()
    await db.schema.createIndex('login_failures_failed_at').on('login_failures').column('failed_at').execute()

    await fill(db)
  },
}

async function fill(db: Kysely<never>): Promise<void> {
  const now = new Date().toISOString()
  const statements = [
    sql`update repository_blobs set unused_since = ${now} where not exists (
      select 1 from manifest_references as named
      where named.digest = repository_blobs.digest and named.repository_id = repository_blobs.repository_id)`,
    sql`update blobs set scrubbed_at = created_at, unlinked_since = case
      when exists (select 1 from repository_blobs as link where link.digest = blobs.digest) then null else ${now} end`,
    sql`insert into unneeded_manifests (manifest_id, since) select manifests.id, ${now} from manifests
      where not exists (select 1 from tags where tags.manifest_id = manifests.id)
      and not exists (select 1 from manifest_references as named where named.digest = manifests.digest
        and named.repository_id = manifests.repository_id and named.role = 'child')
      and not exists (select 1 from manifests as subject where subject.repository_id = manifests.repository_id
        and subject.digest = manifests.subject_digest)`,
    sql`insert into registry_blobs (registry_id, digest, links)
      select repositories.registry_id, link.digest, count(*) from repository_blobs as link
      inner join repositories on repositories.id = link.repository_id
      group by repositories.registry_id, link.digest`,
    sql`insert into repository_usage (repository_id, shard, blob_bytes, manifest_bytes)
      select repositories.id, 0,
        coalesce((select sum(blobs.size) from repository_blobs as link
          inner join blobs on blobs.digest = link.digest where link.repository_id = repositories.id), 0),
        coalesce((select sum(manifests.size) from manifests where manifests.repository_id = repositories.id), 0)
      from repositories`,
    sql`insert into registry_usage (registry_id, shard, blob_bytes, manifest_bytes)
      select registries.id, 0,
        coalesce((select sum(blobs.size) from registry_blobs as held
          inner join blobs on blobs.digest = held.digest where held.registry_id = registries.id), 0),
        coalesce((select sum(counted.manifest_bytes) from repository_usage as counted
          inner join repositories on repositories.id = counted.repository_id
          where repositories.registry_id = registries.id), 0)
      from registries`,
  ]
  for (const statement of statements) await statement.execute(db)
}
