/**
 * What must be in a repository, what must not, and what may be either: the state after all that was answered, with every
 * request that was not answered left open. One client at a time changes a repository, so no order has to be guessed.
 */

/** `either`: a request that would change it got no answer. */
export type Presence = 'there' | 'gone' | 'either'

export interface BlobState {
  presence: Presence
  /** Bytes. */
  readonly size: number
  /** Compared with the server since it last changed. */
  verified: boolean
}

export interface ManifestState {
  presence: Presence
  readonly bytes: Buffer
  readonly blobs: readonly string[]
  readonly subject: string | undefined
  verified: boolean
}

export interface RepositoryModel {
  readonly name: string
  readonly blobs: Map<string, BlobState>
  readonly manifests: Map<string, ManifestState>
  /** What each tag may name; undefined: nothing. */
  readonly tags: Map<string, Set<string | undefined>>
  /** How often something was taken away, or may have been. */
  removals: number
}

export const createRepositoryModel = (name: string): RepositoryModel => ({
  name,
  blobs: new Map(),
  manifests: new Map(),
  tags: new Map(),
  removals: 0,
})

/** Whether a manifest that is surely there names the blob, so that nothing may take it away. */
export function isNeeded({ manifests }: RepositoryModel, digest: string): boolean {
  return [...manifests.values()].some(({ presence, blobs }) => presence === 'there' && blobs.includes(digest))
}

/** Whether a manifest that may be there names the blob. */
export function mayBeNeeded({ manifests }: RepositoryModel, digest: string): boolean {
  return [...manifests.values()].some(({ presence, blobs }) => presence !== 'gone' && blobs.includes(digest))
}

/** collecting: whether the server's garbage collection takes what no manifest names, at once. */
export function expectedBlob(repository: RepositoryModel, digest: string, collecting: boolean): Presence {
  const presence = repository.blobs.get(digest)?.presence ?? 'gone'
  return presence === 'there' && collecting && !isNeeded(repository, digest) ? 'either' : presence
}

/** A push of a blob, or a mount, is sent: what is there stays, what is not may come. */
export function openBlob({ blobs }: RepositoryModel, digest: string, size: number): void {
  if (blobs.get(digest)?.presence !== 'there') blobs.set(digest, { presence: 'either', size, verified: false })
}

export function settleBlob(repository: RepositoryModel, digest: string, presence: Presence): void {
  if (presence !== 'there') repository.removals++
  const state = repository.blobs.get(digest)
  if (state !== undefined) Object.assign(state, { presence, verified: false })
}

/** The push of a manifest is sent. Returns what takes that back, for one that was refused. */
export function openManifest(
  repository: RepositoryModel,
  digest: string,
  bytes: Buffer,
  tags: readonly string[],
): () => void {
  const before = repository.manifests.get(digest)
  const tagsBefore = tags.map((tag) => [tag, new Set(allowedAt(repository, tag))] as const)
  if (before?.presence !== 'there') {
    repository.manifests.set(digest, { presence: 'either', bytes, ...namesIn(bytes), verified: false })
  }
  for (const tag of tags) allowedAt(repository, tag).add(digest)
  return () => {
    for (const [tag, allowed] of tagsBefore) repository.tags.set(tag, allowed)
    if (before === undefined) repository.manifests.delete(digest)
    else repository.manifests.set(digest, before)
  }
}

/** The push was acknowledged: it is there, its tags name it, and so all that it names is there. */
export function settleManifest(repository: RepositoryModel, digest: string, tags: readonly string[]): void {
  const state = repository.manifests.get(digest)
  if (state === undefined) throw new Error(`${digest} was never sent`)
  Object.assign(state, { presence: 'there', verified: false })
  for (const blob of state.blobs)
    if (repository.blobs.get(blob)?.presence === 'either') settleBlob(repository, blob, 'there')
  for (const tag of tags) repository.tags.set(tag, new Set([digest]))
}

/** A manifest and all that refer to it, directly or through one another: they go together. */
export function withReferrers({ manifests }: RepositoryModel, digest: string): string[] {
  const found = new Set([digest])
  for (let grown = true; grown; ) {
    grown = false
    for (const [referrer, { subject, presence }] of manifests) {
      if (presence === 'gone' || subject === undefined || !found.has(subject) || found.has(referrer)) continue
      found.add(referrer)
      grown = true
    }
  }
  return [...found]
}

/** The deletion of a manifest is sent. */
export function openRemoval(repository: RepositoryModel, doomed: readonly string[]): void {
  repository.removals++
  for (const digest of doomed) setPresence(repository, digest, 'either')
  for (const allowed of repository.tags.values())
    if (doomed.some((digest) => allowed.has(digest))) allowed.add(undefined)
}

export function settleRemoval(repository: RepositoryModel, doomed: readonly string[]): void {
  for (const digest of doomed) setPresence(repository, digest, 'gone')
  for (const allowed of repository.tags.values()) {
    for (const digest of doomed) if (allowed.delete(digest)) allowed.add(undefined)
  }
}

function setPresence({ manifests }: RepositoryModel, digest: string, presence: Presence): void {
  const state = manifests.get(digest)
  if (state !== undefined && state.presence !== 'gone') Object.assign(state, { presence, verified: false })
}

export function allowedAt({ tags }: RepositoryModel, tag: string): Set<string | undefined> {
  const known = tags.get(tag) ?? new Set([undefined])
  tags.set(tag, known)
  return known
}

interface Named {
  readonly digest: string
}

export function namesIn(bytes: Buffer): Pick<ManifestState, 'blobs' | 'subject'> {
  const document = JSON.parse(bytes.toString('utf8')) as { config: Named; layers: Named[]; subject?: Named }
  return { blobs: [document.config, ...document.layers].map(({ digest }) => digest), subject: document.subject?.digest }
}
