import type { ColumnDefinitionBuilder, ForeignKeyConstraintBuilder, Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { columnTypesOf } from './column-types.ts'

const required = (column: ColumnDefinitionBuilder) => column.notNull()
const cascade = (key: ForeignKeyConstraintBuilder) => key.onDelete('cascade')

/** Tenants and what they hold; what the columns mean is said in `tables/directory.ts`. */
export const directory: Migration = {
  async up(db: Kysely<never>) {
    const { text, keyedTable } = columnTypesOf(db)

    await db.schema
      .createTable('tenants')
      .addColumn('id', text, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('tenants_key', ['id'])
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('subscriptions')
      .addColumn('id', text, required)
      .addColumn('tenant_id', text, required)
      .addColumn('display_name', text, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('subscriptions_key', ['id'])
      .addForeignKeyConstraint('subscriptions_tenant', ['tenant_id'], 'tenants', ['id'], cascade)
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('resource_groups')
      .addColumn('subscription_id', text, required)
      .addColumn('name', text, required)
      .addColumn('location', text, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('resource_groups_key', ['subscription_id', 'name'])
      .addForeignKeyConstraint('resource_groups_subscription', ['subscription_id'], 'subscriptions', ['id'], cascade)
      .$call(keyedTable)
      .execute()

    await db.schema
      .createTable('service_principals')
      .addColumn('client_id', text, required)
      .addColumn('tenant_id', text, required)
      .addColumn('display_name', text, required)
      .addColumn('secret_hash', text, required)
      .addColumn('created_at', text, required)
      .addPrimaryKeyConstraint('service_principals_key', ['client_id'])
      .addForeignKeyConstraint('service_principals_tenant', ['tenant_id'], 'tenants', ['id'], cascade)
      .$call(keyedTable)
      .execute()
  },
}
