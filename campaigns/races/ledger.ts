/** What must be in the server from now on, and what must not. */
import { type Client, sha256 } from '../client.ts'
import type { Manifest } from './stage.ts'

export interface Ledger {
  /** A manifest that was acknowledged, with all that it names. */
  mustBe(repository: string, manifest: Manifest): void
  /** It was deleted. */
  isGone(repository: string, manifest: Manifest): void
  /** Digests that manifests name which must be there. */
  named(): Set<string>
  readonly size: number
  /** Compares all of it; a line for each problem. `newest`: only what was noted since the last comparison. */
  verify(client: Client, which: 'newest' | 'all'): Promise<string[]>
}

interface Entry {
  readonly repository: string
  readonly manifest: Manifest
  isThere: boolean
  isNew: boolean
}

const width = 8

export function createLedger(): Ledger {
  const entries = new Map<string, Entry>()
  const note = (repository: string, manifest: Manifest, isThere: boolean) =>
    void entries.set(`${repository}@${manifest.digest}`, { repository, manifest, isThere, isNew: true })
  return {
    mustBe: (repository, manifest) => note(repository, manifest, true),
    isGone: (repository, manifest) => note(repository, manifest, false),
    named: () =>
      new Set(
        [...entries.values()]
          .filter(({ isThere }) => isThere)
          .flatMap(({ manifest }) => manifest.blobs.map((blob) => sha256(blob))),
      ),
    get size() {
      return entries.size
    },
    async verify(client, which) {
      const problems: string[] = []
      const queue = [...entries.values()].filter(({ isNew }) => isNew || which === 'all').values()
      await Promise.all(
        Array.from({ length: width }, async () => {
          for (const entry of queue) {
            problems.push(...(await problemsOf(client, entry)))
            entry.isNew = false
          }
        }),
      )
      return problems
    },
  }
}

async function problemsOf(client: Client, { repository, manifest, isThere }: Entry): Promise<string[]> {
  const { status, body } = await client.ask('GET', `/v2/${repository}/manifests/${manifest.digest}`)
  const name = `the manifest ${manifest.digest} of ${repository}`
  if (!isThere) return status === 404 ? [] : [`${name} was deleted, and is ${status}`]
  if (status !== 200 || !body.equals(manifest.bytes)) return [`${name} is ${status}, or has other bytes`]
  const problems: string[] = []
  for (const blob of manifest.blobs) {
    const reply = await client.ask('GET', `/v2/${repository}/blobs/${sha256(blob)}`)
    if (reply.status === 200 && reply.body.equals(blob)) continue
    problems.push(`${name} names ${sha256(blob)}, which is ${reply.status}, or has other bytes`)
  }
  return problems
}
