/**
 * What a registry must hold after any sequence of operations, told in the plainest way: no counters, no queues, everything
 * worked out from scratch. For tests that compare.
 */

export interface ModelManifest {
  readonly size: number
  readonly blobs: readonly string[]
  readonly children: readonly string[]
  readonly subject: string | undefined
  unneededSince: number | undefined
}

class ModelRepository {
  /** Blobs by digest: since when no manifest names them. */
  readonly links = new Map<string, { unusedSince: number | undefined }>()
  readonly manifests = new Map<string, ModelManifest>()
  readonly tags = new Map<string, string>()

  names(digest: string): boolean {
    return [...this.manifests.values()].some(({ blobs, children }) => [...blobs, ...children].includes(digest))
  }

  needs(digest: string): boolean {
    const manifests = [...this.manifests.values()]
    const subject = this.manifests.get(digest)?.subject
    return (
      [...this.tags.values()].includes(digest) ||
      manifests.some(({ children }) => children.includes(digest)) ||
      (subject !== undefined && this.manifests.has(subject))
    )
  }

  /** With its tags and all that refer to it. */
  remove(digest: string): void {
    this.manifests.delete(digest)
    for (const [tag, target] of this.tags) if (target === digest) this.tags.delete(tag)
    for (const [referrer, { subject }] of [...this.manifests]) if (subject === digest) this.remove(referrer)
  }
}

/** Repositories are called `<registry>/<name>`; times are milliseconds. */
export class RegistryModel {
  readonly repositories = new Map<string, ModelRepository>()
  /** What the store holds: since when nobody links it. */
  readonly stored = new Map<string, { readonly size: number; unlinkedSince: number | undefined }>()

  at(name: string): ModelRepository {
    const found = this.repositories.get(name) ?? new ModelRepository()
    this.repositories.set(name, found)
    return found
  }

  link(name: string, digest: string, size: number, now: number): void {
    if (!this.stored.has(digest)) this.stored.set(digest, { size, unlinkedSince: undefined })
    this.at(name).links.set(digest, { unusedSince: now })
    this.settle(now)
  }

  put(
    name: string,
    digest: string,
    manifest: Omit<ModelManifest, 'unneededSince'>,
    tag: string | undefined,
    now: number,
  ) {
    const repository = this.at(name)
    repository.manifests.set(digest, { ...manifest, unneededSince: now })
    if (tag !== undefined) repository.tags.set(tag, digest)
    this.settle(now)
  }

  collect(now: number, graceMs: number, untaggedMs: number | undefined): void {
    for (const repository of this.repositories.values()) {
      const { manifests, links } = repository
      if (untaggedMs !== undefined) {
        const untagged = [...manifests].filter(([, { unneededSince }]) => isBefore(unneededSince, now - untaggedMs))
        for (const [digest] of untagged) repository.remove(digest)
      }
      for (const [digest, { unusedSince }] of [...links]) {
        if (isBefore(unusedSince, now - graceMs) && !repository.names(digest)) links.delete(digest)
      }
    }
    for (const [digest, blob] of [...this.stored]) {
      // Links that are collected have had their grace, and their blobs with them.
      const justUnlinked = blob.unlinkedSince === undefined && !this.isLinked(digest)
      if (justUnlinked || isBefore(blob.unlinkedSince, now - graceMs)) this.stored.delete(digest)
    }
    this.settle(now)
  }

  isLinked(digest: string): boolean {
    return [...this.repositories.values()].some(({ links }) => links.has(digest))
  }

  /** Notes what has come to be of no use just now, and what is of use again. */
  settle(now: number): void {
    for (const repository of this.repositories.values()) {
      for (const [digest, link] of repository.links) {
        link.unusedSince = repository.names(digest) ? undefined : (link.unusedSince ?? now)
      }
      for (const [digest, manifest] of repository.manifests) {
        manifest.unneededSince = repository.needs(digest) ? undefined : (manifest.unneededSince ?? now)
      }
    }
    for (const [digest, blob] of this.stored) {
      blob.unlinkedSince = this.isLinked(digest) ? undefined : (blob.unlinkedSince ?? now)
    }
  }

  /** Bytes, of registries by name and of repositories by `<registry>/<name>`. */
  usage(): Record<string, { blobBytes: number; manifestBytes: number }> {
    const usage: Record<string, { blobBytes: number; manifestBytes: number }> = {}
    const distinct = new Map<string, Set<string>>()
    for (const [name, { links, manifests }] of this.repositories) {
      const registry = name.slice(0, name.indexOf('/'))
      const manifestBytes = [...manifests.values()].reduce((sum, { size }) => sum + size, 0)
      usage[name] = { blobBytes: this.#bytesOf(links.keys()), manifestBytes }
      distinct.set(registry, new Set([...(distinct.get(registry) ?? []), ...links.keys()]))
      usage[registry] ??= { blobBytes: 0, manifestBytes: 0 }
      usage[registry].manifestBytes += manifestBytes
    }
    for (const [registry, digests] of distinct) {
      usage[registry] = { manifestBytes: usage[registry]?.manifestBytes ?? 0, blobBytes: this.#bytesOf(digests) }
    }
    return usage
  }

  #bytesOf(digests: Iterable<string>): number {
    return [...digests].reduce((sum, digest) => sum + (this.stored.get(digest)?.size ?? 0), 0)
  }
}

const isBefore = (since: number | undefined, moment: number) => since !== undefined && since < moment
