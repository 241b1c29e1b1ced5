/** What moves to another database, in an order in which each row finds the rows that it refers to; and what stays. */
import type { Tables } from '../../backends/db/tables/index.ts'

export type TableName = keyof Tables & string

export interface MovedTable {
  readonly name: TableName
  /** The columns of the primary key, in its order. */
  readonly key: readonly string[]
  /** By column: the table whose `id` it holds, so that a row cannot be without that one. */
  readonly parents: Readonly<Record<string, TableName>>
}

const table = (name: TableName, key: readonly string[], parents: MovedTable['parents'] = {}): MovedTable => ({
  name,
  key,
  parents,
})

const ofRegistry = { registry_id: 'registries' } as const
const ofRepository = { repository_id: 'repositories' } as const
const ofManifest = { manifest_id: 'manifests' } as const

export const movedTables: readonly MovedTable[] = [
  table('tenants', ['id']),
  table('subscriptions', ['id'], { tenant_id: 'tenants' }),
  table('resource_groups', ['subscription_id', 'name'], { subscription_id: 'subscriptions' }),
  table('service_principals', ['client_id'], { tenant_id: 'tenants' }),
  table('signing_keys', ['kid']),
  table('registries', ['id']),
  table('registry_passwords', ['registry_id', 'name'], ofRegistry),
  table('repositories', ['id'], ofRegistry),
  table('manifests', ['id'], ofRepository),
  table('manifest_references', ['manifest_id', 'role', 'digest'], ofManifest),
  table('tags', ['repository_id', 'name'], ofManifest),
  table('unneeded_manifests', ['manifest_id'], ofManifest),
  table('deleted_subjects', ['repository_id', 'digest'], ofRepository),
  table('blobs', ['digest']),
  table('repository_blobs', ['repository_id', 'digest'], ofRepository),
  table('registry_blobs', ['registry_id', 'digest'], ofRegistry),
  table('registry_usage', ['registry_id', 'shard'], ofRegistry),
  table('repository_usage', ['repository_id', 'shard'], ofRepository),
]

/** By table: why its rows stay where they are. */
export const stayingTables: Partial<Readonly<Record<TableName, string>>> = {
  ended_uploads: 'about sessions that do not move',
  leases: 'who does what just now, in this database',
  login_failures: 'forgotten after minutes',
  moves: 'about this very move',
  upload_sessions: 'their bytes are in the blob store that is left; clients begin anew',
}
