/** What lies in a data folder's blob store, read from the disk and not from the server. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** Digests of all blobs, as their names say. */
export async function storedBlobs(dataFolder: string): Promise<string[]> {
  const folder = join(dataFolder, 'blobs', 'sha256')
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  return names.filter((entry) => entry.isFile()).map(({ name }) => `sha256:${name}`)
}

/** Names of the files of unfinished uploads. */
export const storedUploads = (dataFolder: string): Promise<string[]> => readdir(join(dataFolder, 'blobs', 'uploads'))

/** A line for each blob whose bytes are not what its name says. */
export async function damagedBlobs(dataFolder: string): Promise<string[]> {
  const problems: string[] = []
  for (const digest of await storedBlobs(dataFolder)) {
    const hex = digest.slice('sha256:'.length)
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(dataFolder, 'blobs', 'sha256', hex.slice(0, 2), hex)), hash)
    const actual = hash.digest('hex')
    if (actual !== hex) problems.push(`on disk, ${digest} has the bytes of sha256:${actual}`)
  }
  return problems
}
