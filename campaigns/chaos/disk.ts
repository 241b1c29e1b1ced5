/** At the end, what lies on the disk: read by us, and by `berth fsck`. */
import { setTimeout as pause } from 'node:timers/promises'
import { fsckProblems } from '../cli.ts'
import type { Program } from '../program.ts'
import { damagedBlobs, storedBlobs, storedUploads } from '../stored.ts'
import type { Journal } from './journal.ts'

/** Ends the program. tidySeconds: how long garbage may take to go; 0: it is not judged. Returns what is wrong. */
export async function lookAtDisk(program: Program, journal: Journal, tidySeconds: number): Promise<string[]> {
  const problems: string[] = []
  const named = new Set(
    [...journal.repositories.values()].flatMap(({ manifests }) =>
      [...manifests.values()].filter(({ presence }) => presence === 'there').flatMap(({ blobs }) => blobs),
    ),
  )
  if (journal.collecting && tidySeconds > 0) problems.push(...(await neverCollected(program, named, tidySeconds)))
  const exit = await program.terminate()
  if (exit !== 0) problems.push(`at the end, SIGTERM gave ${exit}`)
  const stored = new Set(await storedBlobs(program.dataFolder))
  journal.tally.add('blobs on the disk at the end', stored.size)
  const missing = [...named].filter((digest) => !stored.has(digest))
  if (missing.length > 0) problems.push(`${missing.length} blobs that manifests name are not on the disk: ${missing}`)
  problems.push(...(await damagedBlobs(program.dataFolder)), ...(await fsckProblems(program)))
  return problems
}

/** Waits until only what is named is left, and no upload. */
async function neverCollected({ dataFolder }: Program, named: ReadonlySet<string>, seconds: number): Promise<string[]> {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const extra = (await storedBlobs(dataFolder)).filter((digest) => !named.has(digest))
    const uploads = await storedUploads(dataFolder)
    if (extra.length + uploads.length === 0) return []
    if (performance.now() > deadline) {
      return [
        ...extra.map((digest) => `the blob ${digest}, which nothing names, is never collected`),
        ...uploads.map((name) => `the unfinished upload ${name} is never collected`),
      ]
    }
    await pause(500)
  }
}
