/** Manifests: images of new, known and mounted layers, and what refers to them. */
import { sha256 } from '../client.ts'
import { ociManifest } from '../fuzz/world.ts'
import { mountLayer, type Part, pushBytes, pushLayer } from './blobs.ts'
import { expectedBlob, namesIn, openManifest, settleManifest } from './model.ts'
import type { Pusher } from './pusher.ts'
import { ask, UnexpectedAnswer } from './request.ts'

const tagNames = ['t0', 't1', 't2', 't3']
const configType = 'application/vnd.oci.image.config.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar'

export async function pushImage(pusher: Pusher): Promise<void> {
  const { random } = pusher
  const layers: Part[] = []
  for (let count = random.between(1, 3); count > 0; count--) layers.push(await someLayer(pusher))
  const config = await pushBytes(pusher, Buffer.from(JSON.stringify({ architecture: 'amd64', n: random.text(12) })))
  const names = new Set(Array.from({ length: random.between(0, 2) }, () => random.pick(tagNames)))
  await pushManifest(pusher, { config, layers }, [...names])
}

/** A signature, say, of a manifest of the repository; without one of those, an image. */
export async function pushReferrer(pusher: Pusher): Promise<void> {
  const { random, repository } = pusher
  const subjects = [...repository.manifests].filter(([, { presence }]) => presence === 'there')
  if (subjects.length === 0) return pushImage(pusher)
  const [digest, { bytes }] = random.pick(subjects)
  const config = await pushBytes(pusher, Buffer.from('{}'))
  const layer = await pushBytes(pusher, Buffer.from(`a signature: ${random.text(40)}`))
  const subject = { mediaType: ociManifest, digest, size: bytes.length }
  await pushManifest(pusher, { config, layers: [layer], subject }, [])
}

/** A manifest that was pushed before, and may have been deleted since; its layers too. */
export async function pushAgain(pusher: Pusher): Promise<void> {
  const { random, repository } = pusher
  const known = [...repository.manifests.values()]
  if (known.length === 0) return pushImage(pusher)
  await putManifest(pusher, random.pick(known).bytes, random.chance(0.5) ? [random.pick(tagNames)] : [])
}

/** New bytes mostly; else what the repository has already, which a client leaves out, or what another one has. */
async function someLayer(pusher: Pusher): Promise<Part> {
  const { random, repository } = pusher
  if (random.chance(0.15)) {
    const known = [...repository.blobs].filter(([, { presence }]) => presence === 'there').slice(-50)
    if (known.length > 0) {
      const [digest, { size }] = random.pick(known)
      return { digest, size }
    }
  }
  if (random.chance(0.15)) {
    const mounted = await mountLayer(pusher)
    if (mounted !== undefined) return mounted
  }
  return pushLayer(pusher)
}

interface Parts {
  readonly config: Part
  readonly layers: readonly Part[]
  readonly subject?: { readonly mediaType: string } & Part
}

async function pushManifest(pusher: Pusher, parts: Parts, tags: readonly string[]): Promise<void> {
  const { config, layers, subject } = parts
  const bytes = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: ociManifest, config: { mediaType: configType, ...config } },
      layers: layers.map((layer) => ({ mediaType: layerType, ...layer })),
      ...(subject === undefined ? {} : { artifactType: 'application/x-signature', subject }),
    }),
  )
  await putManifest(pusher, bytes, tags)
}

async function putManifest(pusher: Pusher, bytes: Buffer, tags: readonly string[]): Promise<void> {
  const { journal, random, repository } = pusher
  const digest = sha256(bytes)
  const [first] = tags
  const byTag = first !== undefined && tags.length === 1 && random.chance(0.5)
  const query = byTag || tags.length === 0 ? '' : `?${tags.map((tag) => `tag=${tag}`).join('&')}`
  const path = `/v2/${repository.name}/manifests/${byTag ? first : digest}${query}`
  // Where garbage is collected at once, a layer may be gone before the manifest that would hold it has come.
  const blobs = namesIn(bytes).blobs.map((blob) => expectedBlob(repository, blob, journal.collecting))
  const mayBeTaken = blobs.includes('gone') ? [] : [201]
  const mayBeRefused = blobs.every((presence) => presence === 'there') ? [] : [400]
  const takeBack = openManifest(repository, digest, bytes, tags)
  const headers = { 'content-type': ociManifest }
  const reply = await ask(pusher, 'PUT', path, [...mayBeTaken, ...mayBeRefused], { body: bytes, headers })
  if (reply.status === 400) {
    takeBack()
    if (!reply.body.includes('MANIFEST_BLOB_UNKNOWN')) throw new UnexpectedAnswer(`PUT ${path}: ${reply.body}`)
    journal.tally.add('manifests refused because layers were gone')
    return
  }
  settleManifest(repository, digest, tags)
  journal.tally.add('manifests acknowledged')
  journal.tally.add('tags acknowledged', tags.length)
}
