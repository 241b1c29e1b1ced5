import { type Descriptor, parseDescriptor } from './descriptor.ts'
import { type Digest, type DigestAlgorithm, digestOf } from './digest.ts'
import {
  findRepeatedField,
  hasField,
  type JsonObject,
  optionalString,
  optionalStringMap,
  parseJsonObject,
  requiredArray,
  requiredString,
} from './json.ts'
import { ManifestError, quote } from './manifest-error.ts'
import { mediaTypes, withoutParameters } from './media-type.ts'
import { parseSchema1Fields, signedPayload } from './schema1.ts'

/** What a manifest says, whatever its format. The bytes stay the truth: only they have the digest. */
export interface ManifestDocument {
  /** The content type it was sent with, without parameters. */
  readonly mediaType: string
  readonly kind: 'image' | 'index' | 'artifact' | 'schema1'
  /** Of every image, and of nothing else. */
  readonly config?: Descriptor
  /** An image's layers or an artifact's blobs, in the document's order, which may repeat one. */
  readonly layers: readonly Descriptor[]
  /** An index's manifests. */
  readonly children: readonly Descriptor[]
  /** What it refers to; that need not exist. Docker's formats have none. */
  readonly subject?: Descriptor
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  /** Schema 1 only: the repository and tag that the author wrote into the document. */
  readonly name?: string
  readonly tag?: string
  /** Signed schema 1 only: the bytes that the digest is computed on. */
  readonly payload?: Uint8Array
}

/** No larger manifest is parsed. ACR: 4 MiB (documented); it also keeps the descriptors below 50,000. */
export const manifestLimitBytes = 4 * 1024 * 1024

/**
 * Checks all that can be known without the registry: format, fields, descriptors, embedded data.
 * contentType: as sent, parameters allowed; it decides the format and must not contradict the body.
 * Throws `ManifestError`. Unknown fields are ignored; of an exactly repeated field the last counts.
 * Takes time linear in the size of the body, at most `manifestLimitBytes`.
 * Spec: OCI image-spec 1.1, manifest.md and image-index.md; Docker manifest v2, schema 2 and 1.
 */
export function parseManifest(bytes: Uint8Array, contentType: string): ManifestDocument {
  const mediaType = withoutParameters(contentType)
  const format = formats.get(mediaType)
  if (!format) throw new ManifestError(`unknown manifest media type ${quote(mediaType)}`)
  if (bytes.length > manifestLimitBytes) throw new ManifestError(`the manifest exceeds ${manifestLimitBytes} bytes`)
  const body = parseJsonObject(bytes)
  if (!body) throw new ManifestError('the manifest is not a JSON object in UTF-8, nested at most 256 levels deep')
  const repeated = findRepeatedField(bytes)
  if (repeated !== undefined) throw new ManifestError(`the field ${JSON.stringify(repeated)} is there twice`)
  checkSpelling(body)
  checkForeignFields(body, format)
  checkMediaType(body, mediaType, format)
  checkSchemaVersion(body, format)
  return { mediaType, kind: format.kind, layers: [], children: [], ...format.read(body, bytes) }
}

/** Of signed schema 1 the digest is the payload's; of everything else, the bytes'. bytes: what `doc` was parsed from. */
export function digestOfManifest(doc: ManifestDocument, bytes: Uint8Array, algorithm: DigestAlgorithm): Digest {
  return digestOf(algorithm, doc.payload ?? bytes)
}

/**
 * The artifact type under which a referrer is listed; undefined for an index that states none.
 * Spec: OCI distribution-spec 1.1, "Listing Referrers".
 */
export function referrerArtifactType(doc: ManifestDocument): string | undefined {
  return doc.artifactType || doc.config?.mediaType
}

interface Format {
  readonly kind: ManifestDocument['kind']
  readonly schemaVersion: 'must be 1' | 'must be 2' | '2 or absent'
  /** `mediaType` inside the body. */
  readonly mediaType: 'required' | 'optional'
  /** Fields by which a client would take the body for another kind. */
  readonly foreignFields: readonly string[]
  readonly read: (body: JsonObject, bytes: Uint8Array) => Partial<ManifestDocument>
}

const image = {
  kind: 'image',
  schemaVersion: 'must be 2',
  foreignFields: ['manifests', 'fsLayers'],
} as const

const index = {
  kind: 'index',
  schemaVersion: 'must be 2',
  foreignFields: ['layers', 'config', 'fsLayers'],
} as const

const artifact = {
  kind: 'artifact',
  schemaVersion: '2 or absent', // neither artifact format defines it
  mediaType: 'optional',
  foreignFields: ['manifests', 'layers', 'config', 'fsLayers'],
  read: readArtifact,
} as const satisfies Format

const schema1 = {
  kind: 'schema1',
  schemaVersion: 'must be 1',
  mediaType: 'optional', // the format has no such field
  foreignFields: ['manifests', 'layers', 'config'],
} as const

const formats: ReadonlyMap<string, Format> = new Map<string, Format>([
  [mediaTypes.dockerManifest, { ...image, mediaType: 'required', read: readImage }],
  [
    mediaTypes.ociManifest,
    { ...image, mediaType: 'optional', read: (body) => ({ ...readImage(body), ...ociFields(body) }) },
  ],
  [mediaTypes.dockerManifestList, { ...index, mediaType: 'required', read: readIndex }],
  [
    mediaTypes.ociIndex,
    { ...index, mediaType: 'optional', read: (body) => ({ ...readIndex(body), ...ociFields(body) }) },
  ],
  [mediaTypes.ociArtifactManifest, artifact],
  [mediaTypes.orasArtifactManifest, artifact],
  [mediaTypes.dockerSchema1, { ...schema1, read: parseSchema1Fields }],
  [
    mediaTypes.dockerSchema1Signed,
    { ...schema1, read: (body, bytes) => ({ ...parseSchema1Fields(body), payload: signedPayload(bytes, body) }) },
  ],
])

function readImage(body: JsonObject): Partial<ManifestDocument> {
  return { config: parseDescriptor(body.config, 'config'), layers: descriptors(body, 'layers') }
}

function readIndex(body: JsonObject): Partial<ManifestDocument> {
  return { children: descriptors(body, 'manifests') }
}

/** `blobs` may be absent: an artifact can consist of annotations alone. */
function readArtifact(body: JsonObject): Partial<ManifestDocument> {
  const layers = (body.blobs ?? undefined) === undefined ? [] : descriptors(body, 'blobs')
  return { layers, ...ociFields(body) }
}

/** What OCI's formats have and Docker's do not; there, fields of these names are unknown fields. */
function ociFields(body: JsonObject): Partial<ManifestDocument> {
  const subject = body.subject ?? undefined
  const artifactType = optionalString(body, 'artifactType')
  const annotations = optionalStringMap(body, 'annotations')
  return {
    ...(subject !== undefined && { subject: parseDescriptor(subject, 'subject') }),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations !== undefined && { annotations }),
  }
}

function descriptors(body: JsonObject, field: string): Descriptor[] {
  return requiredArray(body, field).map((value, index) => parseDescriptor(value, `${field}[${index}]`))
}

const decidingFields = ['schemaVersion', 'mediaType', 'config', 'layers', 'manifests', 'fsLayers', 'blobs', 'subject']
const decidingSpellings: ReadonlyMap<string, string> = new Map(decidingFields.map((field) => [foldCase(field), field]))

/** Go's clients read `Layers` as `layers`, so a second spelling would show them another manifest than us. */
function checkSpelling(body: JsonObject): void {
  for (const field of Object.keys(body)) {
    const expected = decidingSpellings.get(foldCase(field))
    if (expected !== undefined && expected !== field) {
      throw new ManifestError(`the field ${quote(field)} must be spelled ${expected}`)
    }
  }
}

/** As encoding/json does: through upper case, so that the long s becomes s, and the Kelvin sign k. */
function foldCase(text: string): string {
  return text.toUpperCase().toLowerCase()
}

/** Spec: CVE-2021-41190, "ambiguous OCI manifest parsing": a body must not pass for two kinds of manifest. */
function checkForeignFields(body: JsonObject, format: Format): void {
  const foreign = format.foreignFields.find((field) => hasField(body, field))
  if (foreign !== undefined) throw new ManifestError(`a manifest of kind ${format.kind} must not have ${foreign}`)
}

function checkMediaType(body: JsonObject, mediaType: string, format: Format): void {
  if (format.mediaType === 'optional' && !hasField(body, 'mediaType')) return
  const stated = requiredString(body, 'mediaType')
  if (stated !== mediaType) {
    throw new ManifestError(`mediaType is ${quote(stated)}, but the content type is ${quote(mediaType)}`)
  }
}

function checkSchemaVersion(body: JsonObject, format: Format): void {
  if (format.schemaVersion === '2 or absent' && !hasField(body, 'schemaVersion')) return
  const expected = format.schemaVersion === 'must be 1' ? 1 : 2
  if (body.schemaVersion !== expected) throw new ManifestError(`schemaVersion must be ${expected}`)
}
