/** Small images whose bytes are the same in every registry and every run: a number makes each one unlike the others. */
import { createHash } from 'node:crypto'

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

export interface SeedManifest {
  readonly mediaType: string
  readonly digest: string
  readonly bytes: Buffer
  readonly tag?: string
  /** What the list of referrers shows of it besides. */
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

export const descriptorOf = (mediaType: string, bytes: Uint8Array): Descriptor => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
})

/** What all seeded images share: the config and the one layer. */
export const sharedConfig = Buffer.from(
  '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}',
)
export const sharedLayer = Buffer.from('a layer that every seeded image shares')
const config = descriptorOf(mediaTypes.config, sharedConfig)
const layer = descriptorOf(mediaTypes.layer, sharedLayer)

export function seedImage(number: number, tag: string): SeedManifest {
  const annotations = { 'org.opencontainers.image.version': `1.0.${number}`, 'org.example.name': `image ${number}` }
  return manifest({ config, layers: [layer], annotations }, { tag, annotations })
}

const referrerType = 'application/vnd.example.signature'

export function seedReferrer(number: number, subject: SeedManifest): SeedManifest {
  const annotations = { 'org.example.signature': `signature ${number}` }
  const { mediaType, digest, bytes } = subject
  const fields = { artifactType: referrerType, config, layers: [layer], annotations }
  return manifest(
    { ...fields, subject: { mediaType, digest, size: bytes.length } },
    { artifactType: referrerType, annotations },
  )
}

export function manifest(
  fields: object,
  shown: Pick<SeedManifest, 'tag' | 'artifactType' | 'annotations'>,
): SeedManifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.manifest, ...fields }))
  return { mediaType: mediaTypes.manifest, digest: sha256(bytes), bytes, ...shown }
}

/** Names no blob, so that a million repositories need no more than it. */
export const emptyIndex: SeedManifest = (() => {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] }))
  return { mediaType: mediaTypes.index, digest: sha256(bytes), bytes, tag: 'latest' }
})()
