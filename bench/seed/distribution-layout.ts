/** The store of CNCF distribution: bytes by digest, and link files for everything that has a name. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ManyManifests, ManyRepositories } from './data-sets.ts'
import { type SeedManifest, sha256 } from './images.ts'

export function writeManifests(root: string, many: ManyManifests): void {
  const store = storeIn(root)
  for (const blob of many.blobs) {
    store.addBlob(sha256(blob), blob)
    store.link(many.repository, ['_layers'], sha256(blob))
  }
  if (many.subject !== undefined) store.addManifest(many.repository, many.subject)
  for (let index = 0; index < many.count; index++) store.addManifest(many.repository, many.manifestAt(index))
}

export function writeRepositories(root: string, many: ManyRepositories): void {
  const store = storeIn(root)
  for (let index = 0; index < many.count; index++) store.addManifest(many.nameAt(index), many.manifest)
}

function storeIn(root: string) {
  const top = join(root, 'docker', 'registry', 'v2')
  const hex = (digest: string) => digest.slice('sha256:'.length)

  function write(folder: string, name: string, content: string | Uint8Array): void {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, name), content)
  }

  function addBlob(digest: string, bytes: Uint8Array): void {
    write(join(top, 'blobs', 'sha256', hex(digest).slice(0, 2), hex(digest)), 'data', bytes)
  }

  function link(repository: string, path: readonly string[], digest: string): void {
    write(join(top, 'repositories', repository, ...path, 'sha256', hex(digest)), 'link', digest)
  }

  function addManifest(repository: string, { digest, bytes, tag }: SeedManifest): void {
    addBlob(digest, bytes)
    link(repository, ['_manifests', 'revisions'], digest)
    if (tag === undefined) return
    link(repository, ['_manifests', 'tags', tag, 'index'], digest)
    write(join(top, 'repositories', repository, '_manifests', 'tags', tag, 'current'), 'link', digest)
  }

  return { addBlob, link, addManifest }
}
