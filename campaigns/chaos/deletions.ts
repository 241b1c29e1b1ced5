/** Everything that a client can take away from its repository. */
import {
  allowedAt,
  expectedBlob,
  isNeeded,
  mayBeNeeded,
  openRemoval,
  settleBlob,
  settleRemoval,
  withReferrers,
} from './model.ts'
import type { Pusher } from './pusher.ts'
import { ask } from './request.ts'

export async function deleteTag(pusher: Pusher): Promise<void> {
  const { journal, random, repository } = pusher
  const tags = [...repository.tags].filter(([, allowed]) => allowed.size > 1 || !allowed.has(undefined))
  if (tags.length === 0) return
  const [tag, before] = random.pick(tags)
  const isSure = !before.has(undefined)
  allowedAt(repository, tag).add(undefined)
  await ask(pusher, 'DELETE', `/v2/${repository.name}/manifests/${tag}`, isSure ? [202] : [202, 404])
  repository.tags.set(tag, new Set([undefined]))
  journal.tally.add('tags deleted')
}

/** With its tags, and with what refers to it. */
export async function deleteManifest(pusher: Pusher): Promise<void> {
  const { journal, random, repository } = pusher
  const present = [...repository.manifests].filter(([, { presence }]) => presence !== 'gone')
  if (present.length === 0) return
  const [digest, { presence }] = random.pick(present)
  const doomed = withReferrers(repository, digest)
  openRemoval(repository, doomed)
  const path = `/v2/${repository.name}/manifests/${digest}`
  const { status } = await ask(pusher, 'DELETE', path, presence === 'there' ? [202] : [202, 404])
  // One that was not there has taken nothing with it.
  settleRemoval(repository, status === 202 ? doomed : [digest])
  journal.tally.add('manifests deleted', doomed.length)
}

/** What a manifest names must stay. */
export async function deleteBlob(pusher: Pusher): Promise<void> {
  const { journal, random, repository } = pusher
  const present = [...repository.blobs].filter(([, { presence }]) => presence !== 'gone')
  if (present.length === 0) return
  const [digest, state] = random.pick(present)
  const expected = expectedBlob(repository, digest, journal.collecting)
  const path = `/v2/${repository.name}/blobs/${digest}`
  if (isNeeded(repository, digest)) {
    await ask(pusher, 'DELETE', path, [405])
    journal.tally.add('deletions of blobs in use refused')
    return
  }
  const before = state.presence
  settleBlob(repository, digest, 'either')
  const perhaps = mayBeNeeded(repository, digest) ? [405] : []
  const { status } = await ask(pusher, 'DELETE', path, [202, ...(expected === 'there' ? [] : [404]), ...perhaps])
  settleBlob(repository, digest, status === 405 ? before : 'gone')
  if (status === 202) journal.tally.add('blobs deleted')
}

/** One of the uploads that were left half done. */
export async function cancelUpload(pusher: Pusher): Promise<void> {
  const { journal, repository } = pusher
  const index = journal.openUploads.findIndex((open) => open.repository === repository && !open.lost)
  const [upload] = index < 0 ? [] : journal.openUploads.splice(index, 1)
  if (upload === undefined) return
  try {
    await ask(pusher, 'DELETE', upload.location, [204])
    journal.cancelled.push(upload.location)
    journal.tally.add('uploads cancelled')
  } catch (error) {
    journal.openUploads.push({ ...upload, last: 'cancel', lost: true })
    throw error
  }
}
