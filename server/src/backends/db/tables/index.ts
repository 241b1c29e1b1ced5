/** One file a table: row type, keys, invariants. Times are ISO 8601 in UTC with milliseconds; digests are text. */
import type { BlobsTable } from './blobs.ts'
import type { ResourceGroupsTable, ServicePrincipalsTable, SubscriptionsTable, TenantsTable } from './directory.ts'
import type { LoginFailuresTable } from './login-failures.ts'
import type { ManifestReferencesTable } from './manifest-references.ts'
import type { ManifestsTable } from './manifests.ts'
import type { RegistriesTable } from './registries.ts'
import type { RegistryPasswordsTable } from './registry-passwords.ts'
import type { RepositoriesTable } from './repositories.ts'
import type { RepositoryBlobsTable } from './repository-blobs.ts'
import type { SigningKeysTable } from './signing-keys.ts'
import type { TagsTable } from './tags.ts'
import type { UploadSessionsTable } from './upload-sessions.ts'

export interface Tables {
  blobs: BlobsTable
  login_failures: LoginFailuresTable
  manifest_references: ManifestReferencesTable
  manifests: ManifestsTable
  registries: RegistriesTable
  registry_passwords: RegistryPasswordsTable
  repositories: RepositoriesTable
  repository_blobs: RepositoryBlobsTable
  resource_groups: ResourceGroupsTable
  service_principals: ServicePrincipalsTable
  signing_keys: SigningKeysTable
  subscriptions: SubscriptionsTable
  tags: TagsTable
  tenants: TenantsTable
  upload_sessions: UploadSessionsTable
}
