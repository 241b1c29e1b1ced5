/** One file a table: row type, keys, invariants. Times are ISO 8601 in UTC with milliseconds; digests are text. */
import type { BlobsTable } from './blobs.ts'
import type { DeletedSubjectsTable } from './deleted-subjects.ts'
import type { ResourceGroupsTable, ServicePrincipalsTable, SubscriptionsTable, TenantsTable } from './directory.ts'
import type { EndedUploadsTable } from './ended-uploads.ts'
import type { LeasesTable } from './leases.ts'
import type { LoginFailuresTable } from './login-failures.ts'
import type { ManifestReferencesTable } from './manifest-references.ts'
import type { ManifestsTable } from './manifests.ts'
import type { MovesTable } from './moves.ts'
import type { RegistriesTable } from './registries.ts'
import type { RegistryPasswordsTable } from './registry-passwords.ts'
import type { RepositoriesTable } from './repositories.ts'
import type { RepositoryBlobsTable } from './repository-blobs.ts'
import type { SigningKeysTable } from './signing-keys.ts'
import type { TagsTable } from './tags.ts'
import type { UnneededManifestsTable } from './unneeded-manifests.ts'
import type { UploadSessionsTable } from './upload-sessions.ts'
import type { RegistryBlobsTable, RegistryUsageTable, RepositoryUsageTable } from './usage.ts'

export interface Tables {
  blobs: BlobsTable
  deleted_subjects: DeletedSubjectsTable
  ended_uploads: EndedUploadsTable
  leases: LeasesTable
  login_failures: LoginFailuresTable
  manifest_references: ManifestReferencesTable
  manifests: ManifestsTable
  moves: MovesTable
  registries: RegistriesTable
  registry_blobs: RegistryBlobsTable
  registry_passwords: RegistryPasswordsTable
  registry_usage: RegistryUsageTable
  repositories: RepositoriesTable
  repository_blobs: RepositoryBlobsTable
  repository_usage: RepositoryUsageTable
  resource_groups: ResourceGroupsTable
  service_principals: ServicePrincipalsTable
  signing_keys: SigningKeysTable
  subscriptions: SubscriptionsTable
  tags: TagsTable
  tenants: TenantsTable
  unneeded_manifests: UnneededManifestsTable
  upload_sessions: UploadSessionsTable
}
