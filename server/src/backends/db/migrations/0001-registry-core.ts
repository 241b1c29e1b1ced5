import { type ColumnDefinitionBuilder, type ForeignKeyConstraintBuilder, type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypesOf } from './column-types.ts'

const required = (column: ColumnDefinitionBuilder) => column.notNull()
const counter = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0)
const cascade = (key: ForeignKeyConstraintBuilder) => key.onDelete('cascade')

/** Registries and what is pushed to them; what the columns mean is said in `tables/`. */
export const registryCore: Migration = {
  async up(db: Kysely<never>) {
    const types = columnTypesOf(db)
    const { integer, text, bytes } = types

    await db.schema
      .createTable('registries')
      .addColumn('id', integer, types.id)
      .addColumn('name', text, required)
      .addColumn('sku', text, required)
      .addColumn('admin_user_enabled', integer, required)
      .addColumn('anonymous_pull_enabled', integer, required)
      .addColumn('sparse_manifests_enabled', integer, required)
      .addColumn('created_at', text, required)
      .addUniqueConstraint('registries_name', ['name'])
      .$call(types.table)
      .execute()

    await db.schema
      .createTable('registry_passwords')
      .addColumn('registry_id', integer, required)
      .addColumn('name', text, required)
      .addColumn('sealed', bytes, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('registry_passwords_key', ['registry_id', 'name'])
      .addForeignKeyConstraint('registry_passwords_registry', ['registry_id'], 'registries', ['id'], cascade)
      .$call(types.keyedTable)
      .execute()

    await db.schema
      .createTable('repositories')
      .addColumn('id', integer, types.id)
      .addColumn('registry_id', integer, required)
      .addColumn('name', text, required)
      .addColumn('manifest_count', integer, counter)
      .addColumn('created_at', text, required)
      .addColumn('updated_at', text, required)
      .addUniqueConstraint('repositories_name', ['registry_id', 'name'])
      .addForeignKeyConstraint('repositories_registry', ['registry_id'], 'registries', ['id'], cascade)
      .$call(types.table)
      .execute()
    await db.schema
      .createIndex('repositories_catalog')
      .on('repositories')
      .columns(['registry_id', 'name'])
      .where(sql.ref('manifest_count'), '>', 0)
      .execute()

    await db.schema
      .createTable('manifests')
      .addColumn('id', integer, types.id)
      .addColumn('repository_id', integer, required)
      .addColumn('digest', text, required)
      .addColumn('media_type', text, required)
      .addColumn('size', integer, required)
      .addColumn('image_size', integer, required)
      .addColumn('artifact_type', text)
      .addColumn('config_media_type', text)
      .addColumn('architecture', text)
      .addColumn('os', text)
      .addColumn('subject_digest', text)
      .addColumn('annotations', text)
      .addColumn('created_at', text, required)
      .addColumn('updated_at', text, required)
      .addColumn('bytes', bytes, required)
      .addUniqueConstraint('manifests_digest', ['repository_id', 'digest'])
      .addForeignKeyConstraint('manifests_repository', ['repository_id'], 'repositories', ['id'], cascade)
      .$call(types.table)
      .execute()
    await db.schema
      .createIndex('manifests_referrers')
      .on('manifests')
      .columns(['repository_id', 'subject_digest', 'digest'])
      .where('subject_digest', 'is not', null)
      .execute()

    await db.schema
      .createTable('manifest_references')
      .addColumn('manifest_id', integer, required)
      .addColumn('role', text, required)
      .addColumn('digest', text, required)
      .addPrimaryKeyConstraint('manifest_references_key', ['manifest_id', 'role', 'digest'])
      .addForeignKeyConstraint('manifest_references_manifest', ['manifest_id'], 'manifests', ['id'], cascade)
      .$call(types.keyedTable)
      .execute()
    await db.schema.createIndex('manifest_references_digest').on('manifest_references').column('digest').execute()

    await db.schema
      .createTable('tags')
      .addColumn('repository_id', integer, required)
      .addColumn('name', text, required)
      .addColumn('manifest_id', integer, required)
      .addColumn('created_at', text, required)
      .addColumn('updated_at', text, required)
      .addPrimaryKeyConstraint('tags_key', ['repository_id', 'name'])
      .addForeignKeyConstraint('tags_manifest', ['manifest_id'], 'manifests', ['id'], cascade)
      .$call(types.keyedTable)
      .execute()
    await db.schema.createIndex('tags_manifest_id').on('tags').column('manifest_id').execute()

    await db.schema
      .createTable('blobs')
      .addColumn('digest', text, required)
      .addColumn('size', integer, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('blobs_key', ['digest'])
      .$call(types.keyedTable)
      .execute()

    await db.schema
      .createTable('repository_blobs')
      .addColumn('repository_id', integer, required)
      .addColumn('digest', text, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('repository_blobs_key', ['repository_id', 'digest'])
      .addForeignKeyConstraint('repository_blobs_repository', ['repository_id'], 'repositories', ['id'], cascade)
      .$call(types.keyedTable)
      .execute()
    await db.schema.createIndex('repository_blobs_digest').on('repository_blobs').column('digest').execute()

    await db.schema
      .createTable('upload_sessions')
      .addColumn('id', text, required)
      .addColumn('registry_id', integer, required)
      .addColumn('repository', text, required)
      .addColumn('store_session', text, required)
      .addColumn('offset', integer, required)
      .addColumn('committing_digest', text)
      .addColumn('writer', text)
      .addColumn('writer_until', text)
      .addColumn('created_at', text, required)
      .addColumn('updated_at', text, required)
      .addPrimaryKeyConstraint('upload_sessions_key', ['id'])
      .$call(types.keyedTable)
      .execute()
    await db.schema.createIndex('upload_sessions_updated_at').on('upload_sessions').column('updated_at').execute()

    await db.schema
      .createTable('signing_keys')
      .addColumn('kid', text, required)
      .addColumn('algorithm', text, required)
      .addColumn('public_key', text, required)
      .addColumn('sealed_private_key', bytes, required)
      .addColumn('created_at', text, required)
      .addColumn('retires_at', text, required)
      .addColumn('expires_at', text, required)
      .addPrimaryKeyConstraint('signing_keys_key', ['kid'])
      .$call(types.keyedTable)
      .execute()

    await db.schema
      .createTable('login_failures')
      .addColumn('subject', text, required)
      .addColumn('failures', integer, required)
      .addColumn('failed_at', text, required)
      .addPrimaryKeyConstraint('login_failures_key', ['subject'])
      .$call(types.keyedTable)
      .execute()
  },
}
