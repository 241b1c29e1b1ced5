/** What is pushed to a started registry: images whose manifests and blobs are read later. */
import { createHash, randomBytes } from 'node:crypto'
import { createWire, pushImage } from '../load/wire.ts'
import type { Registry } from '../peers/registry.ts'
import { type DataSet, repositories } from './data-sets.ts'
import { type SeedManifest, sharedConfig } from './images.ts'

export const kilobyte = 1000
export const megabyte = 1000 * kilobyte
export const gibibyte = 1024 ** 3

export interface Blob {
  readonly digest: string
  readonly size: number
  readonly bytes: readonly Buffer[]
}

/** The same bytes for every registry of a run. */
export interface LiveData {
  readonly kilobyte: Blob
  readonly megabyte: Blob
  readonly tenMegabytes: Blob
  /** Made when it is asked for. */
  gibibyte(): Blob
  readonly layers: readonly Blob[]
}

export const smallTag = 'v1'
export const layersTag = 'ten-layers'
const layerCount = 10
export const layerBytes = 5 * megabyte

export function createLiveData(): LiveData {
  let large: Blob | undefined
  return {
    kilobyte: blobOf([randomBytes(kilobyte)]),
    megabyte: blobOf([randomBytes(megabyte)]),
    tenMegabytes: blobOf([randomBytes(10 * megabyte)]),
    gibibyte() {
      large ??= blobOf(Array.from<Buffer>({ length: 1024 }).fill(randomBytes(1024 ** 2)))
      return large
    },
    layers: Array.from({ length: layerCount }, () => blobOf([randomBytes(layerBytes)])),
  }
}

function blobOf(bytes: readonly Buffer[]): Blob {
  const hash = createHash('sha256')
  for (const piece of bytes) hash.update(piece)
  return { digest: `sha256:${hash.digest('hex')}`, size: bytes.reduce((sum, piece) => sum + piece.length, 0), bytes }
}

/** Pushes the sets of these that are pushed by requests. */
export async function pushLiveData(registry: Registry, data: LiveData, sets: ReadonlySet<DataSet>): Promise<void> {
  const push = async (repository: string, tag: string, blobs: readonly Blob[]): Promise<SeedManifest> => {
    const wire = createWire(
      registry.url,
      await registry.authorize({ repositories: [repository], actions: 'pull,push' }),
    )
    try {
      return await pushImage(wire, repository, tag, sharedConfig, blobs)
    } finally {
      wire.close()
    }
  }
  if (sets.has('small')) await push(repositories.small, smallTag, [data.kilobyte])
  if (sets.has('blobs')) await push(repositories.blobs, 'all', [data.kilobyte, data.megabyte, data.tenMegabytes])
  if (sets.has('gibibyte')) await push(repositories.blobs, 'gibibyte', [data.gibibyte()])
  if (sets.has('layers')) await push(repositories.layers, layersTag, data.layers)
}
