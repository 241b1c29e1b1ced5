/** The stores of zot and olareg: an OCI image layout a repository. Written while nobody has them open. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ManyManifests, ManyRepositories } from './data-sets.ts'
import { mediaTypes, type SeedManifest, sha256 } from './images.ts'

/** How a layout says what refers to a subject: every manifest is in the index, or those are, in an index of their own. */
export type ReferrerStyle = 'in the index' | 'index of their own'

interface Entry {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export function writeManifests(root: string, many: ManyManifests, style: ReferrerStyle): void {
  const layout = createLayout(join(root, many.repository))
  for (const blob of many.blobs) layout.addBlob(sha256(blob), blob)
  const entries: Entry[] = []
  const referrers: Entry[] = []
  if (many.subject !== undefined) {
    layout.addBlob(many.subject.digest, many.subject.bytes)
    entries.push(entryOf(many.subject))
  }
  for (let index = 0; index < many.count; index++) {
    const manifest = many.manifestAt(index)
    layout.addBlob(manifest.digest, manifest.bytes)
    if (manifest.tag === undefined && style === 'index of their own') referrers.push(referrerOf(manifest))
    else entries.push(entryOf(manifest))
  }
  if (referrers.length > 0 && many.subject !== undefined) {
    const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: referrers }
    const bytes = Buffer.from(JSON.stringify(index))
    layout.addBlob(sha256(bytes), bytes)
    const annotations = { 'org.olareg.referrer.subject': many.subject.digest }
    entries.push({ mediaType: mediaTypes.index, digest: sha256(bytes), size: bytes.length, annotations })
  }
  layout.close(entries)
}

export function writeRepositories(root: string, many: ManyRepositories): void {
  for (let index = 0; index < many.count; index++) {
    const layout = createLayout(join(root, many.nameAt(index)))
    layout.addBlob(many.manifest.digest, many.manifest.bytes)
    layout.close([entryOf(many.manifest)])
  }
}

function createLayout(folder: string) {
  const blobs = join(folder, 'blobs', 'sha256')
  mkdirSync(blobs, { recursive: true })
  return {
    addBlob(digest: string, bytes: Uint8Array): void {
      writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes)
    },
    close(manifests: readonly Entry[]): void {
      writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
      const annotations = { 'org.olareg.referrer.convert': 'true' }
      const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests, annotations }
      writeFileSync(join(folder, 'index.json'), JSON.stringify(index))
    },
  }
}

const entryOf = ({ mediaType, digest, bytes, tag }: SeedManifest): Entry => ({
  mediaType,
  digest,
  size: bytes.length,
  ...(tag === undefined ? {} : { annotations: { 'org.opencontainers.image.ref.name': tag } }),
})

const referrerOf = ({ mediaType, digest, bytes, artifactType, annotations }: SeedManifest): Entry => ({
  mediaType,
  digest,
  size: bytes.length,
  ...(artifactType === undefined ? {} : { artifactType }),
  ...(annotations === undefined ? {} : { annotations }),
})
