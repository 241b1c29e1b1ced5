/** What the database keeps about a manifest besides its bytes, all of it worked out from them. */
import {
  algorithmOf,
  type Digest,
  digestOf,
  digestOfManifest,
  type ManifestDocument,
  referrerArtifactType,
} from '@berth/oci'
import type { ManifestReferencesTable } from '../../backends/db/tables/manifest-references.ts'
import type { ManifestsTable } from '../../backends/db/tables/manifests.ts'

export type ManifestFacts = Pick<
  ManifestsTable,
  'media_type' | 'size' | 'image_size' | 'artifact_type' | 'config_media_type' | 'subject_digest' | 'annotations'
>

export type NamedContent = Pick<ManifestReferencesTable, 'role' | 'digest'>

/** bytes: what the document was parsed from. */
export function factsOf(document: ManifestDocument, bytes: Uint8Array): ManifestFacts {
  const { config, subject, annotations } = document
  return {
    media_type: document.mediaType,
    size: bytes.length,
    image_size: imageSize(document, bytes),
    artifact_type: referrerArtifactType(document) ?? null,
    config_media_type: config?.mediaType ?? null,
    subject_digest: subject?.digest ?? null,
    annotations: annotations === undefined ? null : JSON.stringify(annotations),
  }
}

/** The sum of all sizes that the manifest states; they may be lies, so it ends where exact numbers end. */
function imageSize({ config, layers, children }: ManifestDocument, bytes: Uint8Array): number {
  const parts = [...(config === undefined ? [] : [config]), ...layers, ...children]
  const sum = parts.reduce((total, { size }) => total + size, bytes.length)
  return Math.min(sum, Number.MAX_SAFE_INTEGER)
}

/** Each once, also where an image has the same layer twice. */
export function namedBy({ config, layers, children }: ManifestDocument): NamedContent[] {
  const all: NamedContent[] = [
    ...(config === undefined ? [] : [{ role: 'config' as const, digest: config.digest }]),
    ...layers.map(({ digest }) => ({ role: 'layer' as const, digest })),
    ...children.map(({ digest }) => ({ role: 'child' as const, digest })),
  ]
  return [...new Map(all.map((named) => [`${named.role} ${named.digest}`, named])).values()]
}

/** Whether a manifest may be stored under the digest. A signed schema 1 manifest is named by its payload; old clients name it by the whole body. */
export function isNamed(document: ManifestDocument, bytes: Uint8Array, digest: Digest): boolean {
  const algorithm = algorithmOf(digest)
  return digestOfManifest(document, bytes, algorithm) === digest || digestOf(algorithm, bytes) === digest
}
