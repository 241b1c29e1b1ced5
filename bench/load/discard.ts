/** Layers that are pushed to be measured: nobody asks for them again, and all of a run's would fill the disk. */
import { readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { Registry } from '../peers/registry.ts'

/** Every registry here keeps a blob in a file that its digest names, or in one that is alone in a folder named so. */
const blobFile = /\/blobs\/sha256\/(?:[0-9a-f]{2}\/)?[0-9a-f]{64}(?:\/data)?$/

/** Manifests and configs, which are smaller, stay: registries read them when they start. */
const leastBytes = 100_000

/** The times of files go on in steps, behind the clock. */
const clockStepMs = 20

/**
 * Does what pushes to a registry; afterwards the large blobs that are new in its store take no room on the disk any more.
 * That is done to the files: deleting by requests takes long, and some free nothing before a collection.
 */
export async function discardingLayers<T>({ folder }: Pick<Registry, 'folder'>, work: () => Promise<T>): Promise<T> {
  const from = Date.now() - clockStepMs
  try {
    return await work()
  } finally {
    discard(folder, from)
  }
}

function discard(folder: string, from: number): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || !blobFile.test(path)) continue
    const { size, mtimeMs } = statSync(path)
    // Cut, not removed: the bytes may have several names in the store, and none of them is to be missing.
    if (size >= leastBytes && mtimeMs >= from) truncateSync(path)
  }
}
