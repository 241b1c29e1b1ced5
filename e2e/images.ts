/**
 * Images made here, from a seed: the same seed gives the same bytes and digests. No network and no engine needed.
 * Layers are small tar archives; `writeOciLayout` and `dockerArchive` put images where clients can read them.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: { readonly os: string; readonly architecture: string }
}

export interface Content {
  readonly bytes: Buffer
  readonly descriptor: Descriptor
}

export interface Layer extends Content {
  /** The layer before compression, and its digest, which the config names. */
  readonly tar: Buffer
  readonly diffId: string
}

export interface Image {
  readonly manifest: Content
  /** Its digest is what docker and podman call the image id. */
  readonly config: Content
  readonly layers: readonly Layer[]
}

export interface Index {
  readonly manifest: Content
  readonly images: readonly Image[]
}

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Bytes that do not compress, at about a gigabyte a second. */
export function randomBytesOf(seed: string, size: number): Buffer {
  return Buffer.concat([...randomChunks(seed, size)])
}

export interface ImageOptions {
  readonly layers?: number
  readonly layerBytes?: number
  readonly architecture?: string
}

/** An OCI image whose layers each hold one file of random bytes and one of text. */
export function anImage(
  seed: string,
  { layers = 2, layerBytes = 10_000, architecture = 'amd64' }: ImageOptions = {},
): Image {
  const made = Array.from({ length: layers }, (_, index) =>
    aLayer({
      [`data/${seed}-${index}.bin`]: randomBytesOf(`${seed}/${architecture}/${index}`, layerBytes),
      [`data/${seed}-${index}.txt`]: Buffer.from(`${seed} for ${architecture}, layer ${index}\n`),
    }),
  )
  const config = aJson(
    'application/vnd.oci.image.config.v1+json',
    imageConfig(
      architecture,
      made.map(({ diffId }) => diffId),
    ),
  )
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = aJson(mediaType, {
    schemaVersion: 2,
    mediaType,
    config: config.descriptor,
    layers: made.map(({ descriptor }) => descriptor),
  })
  return {
    manifest: { ...manifest, descriptor: { ...manifest.descriptor, platform: { os: 'linux', architecture } } },
    config,
    layers: made,
  }
}

/** One image for each architecture. */
export function anIndex(seed: string, architectures: readonly string[] = ['amd64', 'arm64']): Index {
  const images = architectures.map((architecture) => anImage(seed, { architecture }))
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const manifests = images.map(({ manifest }) => manifest.descriptor)
  return { manifest: aJson(mediaType, { schemaVersion: 2, mediaType, manifests }), images }
}

/** Writes an OCI layout; each key is the name (`org.opencontainers.image.ref.name`) of an image or index in it. */
export async function writeOciLayout(folder: string, named: Readonly<Record<string, Image | Index>>): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })
  const contents = Object.values(named).flatMap(contentsOf)
  await Promise.all(contents.map(({ bytes, descriptor }) => writeFile(join(blobs, hex(descriptor.digest)), bytes)))
  const manifests = Object.entries(named).map(([name, { manifest }]) => ({
    ...manifest.descriptor,
    annotations: { 'org.opencontainers.image.ref.name': name },
  }))
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType, manifests }))
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}

/** Everything an image or index consists of, manifests last. */
export function contentsOf(root: Image | Index): readonly Content[] {
  if ('images' in root) return [...root.images.flatMap(contentsOf), root.manifest]
  return [root.config, ...root.layers, root.manifest]
}

/** The archive that `docker load` and `podman load` read. The image keeps its id. */
export function dockerArchive(image: Image, repositoryTag: string): Buffer {
  return tarArchive({
    'config.json': image.config.bytes,
    ...Object.fromEntries(image.layers.map(({ tar }, index) => [`${index}/layer.tar`, tar])),
    'manifest.json': dockerArchiveIndex(
      repositoryTag,
      image.layers.map((_, index) => `${index}/layer.tar`),
    ),
  })
}

export interface LargeImage {
  readonly id: string
  readonly diffId: string
  /** The archive for `docker load`, made while it is read; each call starts anew. */
  archive(repositoryTag: string): Iterable<Buffer>
}

/** An image with one layer of so many random bytes, which are never in memory as a whole. */
export function aLargeImage(seed: string, layerBytes: number): LargeImage {
  const tar = function* () {
    yield* tarEntry('data/large.bin', layerBytes, randomChunks(seed, layerBytes))
    yield Buffer.alloc(1024)
  }
  const hash = createHash('sha256')
  let tarBytes = 0
  for (const chunk of tar()) {
    hash.update(chunk)
    tarBytes += chunk.length
  }
  const diffId = `sha256:${hash.digest('hex')}`
  const config = Buffer.from(JSON.stringify(imageConfig('amd64', [diffId])))
  return {
    id: sha256(config),
    diffId,
    *archive(repositoryTag) {
      yield* tarEntry('config.json', config.length, [config])
      yield* tarEntry('0/layer.tar', tarBytes, tar())
      const index = dockerArchiveIndex(repositoryTag, ['0/layer.tar'])
      yield* tarEntry('manifest.json', index.length, [index])
      yield Buffer.alloc(1024)
    },
  }
}

function aLayer(files: Readonly<Record<string, Buffer>>): Layer {
  const tar = tarArchive(files)
  const bytes = gzipSync(tar)
  return {
    tar,
    diffId: sha256(tar),
    bytes,
    descriptor: {
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: sha256(bytes),
      size: bytes.length,
    },
  }
}

function aJson(mediaType: string, value: unknown): Content {
  const bytes = Buffer.from(JSON.stringify(value))
  return { bytes, descriptor: { mediaType, digest: sha256(bytes), size: bytes.length } }
}

const imageConfig = (architecture: string, diffIds: readonly string[]) => ({
  created: '2026-01-01T00:00:00Z',
  architecture,
  os: 'linux',
  config: { Cmd: ['/data/run'], Labels: { 'dev.berth.test': 'yes' } },
  rootfs: { type: 'layers', diff_ids: diffIds },
  history: diffIds.map((diffId) => ({ created: '2026-01-01T00:00:00Z', created_by: `add ${diffId}` })),
})

const dockerArchiveIndex = (repositoryTag: string, layers: readonly string[]) =>
  Buffer.from(JSON.stringify([{ Config: 'config.json', RepoTags: [repositoryTag], Layers: layers }]))

export const hex = (digest: string): string => digest.slice(digest.indexOf(':') + 1)

/** AES in counter mode over zeros, 1 MiB at a time. */
function* randomChunks(seed: string, size: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  const zeros = Buffer.alloc(1 << 20)
  for (let left = size; left > 0; left -= zeros.length)
    yield cipher.update(zeros.subarray(0, Math.min(left, zeros.length)))
}

export function tarArchive(files: Readonly<Record<string, Buffer>>): Buffer {
  const entries = Object.entries(files).flatMap(([name, bytes]) => [...tarEntry(name, bytes.length, [bytes])])
  return Buffer.concat([...entries, Buffer.alloc(1024)])
}

/** POSIX ustar: a header block, the bytes, and zeros up to the next block of 512. */
function* tarEntry(name: string, size: number, chunks: Iterable<Buffer>): Generator<Buffer> {
  const header = Buffer.alloc(512)
  const octal = (value: number, at: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  if (Buffer.byteLength(name) > 99) throw new RangeError(`too long for a tar header: ${name}`)
  header.write(name, 0, 'utf8')
  octal(0o644, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  header.write('        0', 148, 'latin1') // the checksum counts as blanks while it is computed; type: a file
  header.write('ustar\u000000', 257, 'latin1')
  const checksum = header.reduce((sum, byte) => sum + byte, 0)
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  yield header
  yield* chunks
  const rest = size % 512
  if (rest > 0) yield Buffer.alloc(512 - rest)
}
