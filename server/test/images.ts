/** Contents to push, built in memory: blobs, images, indexes, artifacts; and the requests that push them. */
import assert from 'node:assert/strict'
import { type Digest, type DigestAlgorithm, digestOf, mediaTypes } from '@berth/oci'
import type { TestApp } from './app.ts'

/** Bytes with their digest and the media type that a descriptor gives them. */
export interface Content {
  readonly mediaType: string
  readonly bytes: Buffer
  readonly digest: Digest
}

export interface Image {
  readonly config: Content
  readonly layers: readonly Content[]
  readonly manifest: Content
}

export interface ImageOptions {
  /** How many. */
  readonly layers?: number
  /** Images with different seeds share nothing. */
  readonly seed?: string
  /** OCI's manifest unless stated. */
  readonly mediaType?: string
  readonly config?: Content
  /** Fields of the manifest besides (or in place of) the usual ones; undefined leaves one out. */
  readonly fields?: Readonly<Record<string, unknown>>
}

const ociLayerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
export const foreignLayerType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
const ociConfigType = 'application/vnd.oci.image.config.v1+json'

export function aBlob(bytes: string | Uint8Array, mediaType = ociLayerType, algorithm: DigestAlgorithm = 'sha256') {
  const buffer = Buffer.from(bytes as Uint8Array)
  return { mediaType, bytes: buffer, digest: digestOf(algorithm, buffer) } satisfies Content
}

/** A document as clients send it; undefined fields are left out. */
export function aDocument(mediaType: string, fields: Readonly<Record<string, unknown>>): Content {
  return aBlob(JSON.stringify(fields), mediaType)
}

export function descriptorOf({ mediaType, digest, bytes }: Content) {
  return { mediaType, digest, size: bytes.length }
}

export function anImage(options: ImageOptions = {}): Image {
  const { layers: count = 1, seed = 'image', mediaType = mediaTypes.ociManifest, fields = {} } = options
  const config =
    options.config ?? aBlob(JSON.stringify({ architecture: 'amd64', os: 'linux', author: seed }), ociConfigType)
  const layers = Array.from({ length: count }, (_, index) => aBlob(`layer ${index} of ${seed}`))
  const manifest = aDocument(mediaType, {
    schemaVersion: 2,
    mediaType,
    config: descriptorOf(config),
    layers: layers.map(descriptorOf),
    ...fields,
  })
  return { config, layers, manifest }
}

/** OCI's index unless stated. */
export function anIndex(
  children: readonly Content[],
  { mediaType = mediaTypes.ociIndex, fields = {} }: Pick<ImageOptions, 'mediaType' | 'fields'> = {},
): Content {
  return aDocument(mediaType, { schemaVersion: 2, mediaType, manifests: children.map(descriptorOf), ...fields })
}

/** A manifest that refers to another one, with the empty config and one layer of its own. */
export function aReferrer(
  subject: Content,
  { seed = 'referrer', ...options }: ImageOptions & { readonly artifactType?: string } = {},
): Image {
  const { artifactType, fields, ...rest } = options
  return anImage({
    seed,
    config: aBlob('{}', 'application/vnd.oci.empty.v1+json'),
    ...rest,
    fields: { ...(artifactType === undefined ? {} : { artifactType }), subject: descriptorOf(subject), ...fields },
  })
}

const base64url = (text: string) => Buffer.from(text).toString('base64url')

/** Schema 1, signed as libtrust does it: the digest is that of the payload without the signatures. */
export function aSignedSchema1(layers: readonly Content[]): Content {
  const payload = JSON.stringify(
    {
      schemaVersion: 1,
      name: 'library/old',
      tag: 'v1',
      architecture: 'amd64',
      fsLayers: layers.map(({ digest }) => ({ blobSum: digest })),
      history: layers.map((_, index) => ({ v1Compatibility: `{"id":"${index}"}` })),
    },
    undefined,
    3,
  )
  const end = payload.lastIndexOf('\n}')
  const format = JSON.stringify({ formatLength: end, formatTail: base64url(payload.slice(end)) })
  const signature = { header: { alg: 'ES256' }, signature: 'AAAA', protected: base64url(format) }
  const signed = `${payload.slice(0, end)},\n   "signatures": ${JSON.stringify([signature])}\n}`
  return {
    mediaType: mediaTypes.dockerSchema1Signed,
    bytes: Buffer.from(signed),
    digest: digestOf('sha256', Buffer.from(payload)),
  }
}

/** One request: single POST. */
export async function pushBlob(app: TestApp, repository: string, blob: Content): Promise<void> {
  const response = await app.fetch(`/v2/${repository}/blobs/uploads/?digest=${blob.digest}`, {
    method: 'POST',
    body: blob.bytes,
  })
  assert.equal(response.status, 201, await response.text())
}

/** reference: the manifest's digest unless stated. Answers whatever the server says. */
export function putManifest(
  app: TestApp,
  repository: string,
  manifest: Content,
  reference: string = manifest.digest,
  headers: Record<string, string> = {},
): Promise<Response> {
  return app.fetch(`/v2/${repository}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': manifest.mediaType, ...headers },
    body: manifest.bytes,
  })
}

/** Config and layers, then the manifest under each reference; under its digest when there is none. */
export async function pushImage(
  app: TestApp,
  repository: string,
  { config, layers, manifest }: Image,
  ...references: string[]
): Promise<void> {
  for (const blob of [config, ...layers]) await pushBlob(app, repository, blob)
  await pushManifest(app, repository, manifest, ...references)
}

export async function pushManifest(
  app: TestApp,
  repository: string,
  manifest: Content,
  ...references: string[]
): Promise<void> {
  for (const reference of references.length === 0 ? [manifest.digest] : references) {
    const response = await putManifest(app, repository, manifest, reference)
    assert.equal(response.status, 201, await response.text())
  }
}
