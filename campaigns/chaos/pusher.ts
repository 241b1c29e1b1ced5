/** One client that pushes image after image, in every way that the protocol has, until the server is gone. */
import { type AskOptions, type Client, NoAnswer, type Reply, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { ociManifest } from '../fuzz/world.ts'
import { type Journal, keyOf } from './journal.ts'

export interface PusherOptions {
  readonly client: Client
  readonly journal: Journal
  readonly random: Random
  readonly name: string
  readonly signal: AbortSignal
}

const leastBlob = 1024
const mostBlob = 5 * 1024 * 1024
const tagsOfEach = 4

/** Resolves when the signal comes; before that, a lost connection means another try with another image. */
export async function pushUntilStopped(options: PusherOptions): Promise<void> {
  while (!options.signal.aborted) {
    try {
      await pushImage(options)
    } catch (error) {
      if (error instanceof UnexpectedAnswer || error instanceof NoAnswer) options.journal.problems.push(error.message)
      // The server is gone, or a worker is: the next try finds out.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

class UnexpectedAnswer extends Error {}

async function pushImage(pusher: PusherOptions): Promise<void> {
  const { random, name } = pusher
  const repository = `chaos/${name}`
  const layers: { digest: string; size: number }[] = []
  for (let count = random.between(1, 3); count > 0; count--) layers.push(await pushLayer(pusher, repository))
  const config = await pushBytes(
    pusher,
    repository,
    Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', n: random.text(12) })),
  )
  const bytes = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: ociManifest },
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
    }),
  )
  await pushManifest(pusher, repository, bytes)
}

async function pushManifest(
  { client, journal, random }: PusherOptions,
  repository: string,
  bytes: Buffer,
): Promise<void> {
  const digest = sha256(bytes)
  const names = new Set(Array.from({ length: random.between(0, 2) }, () => `t${random.integer(tagsOfEach)}`))
  const [first] = names
  const byTag = first !== undefined && names.size === 1 && random.chance(0.5)
  const query = byTag || names.size === 0 ? '' : `?${[...names].map((tag) => `tag=${tag}`).join('&')}`
  const tags = [...names].map((tag) => {
    const known = journal.tags.get(keyOf(repository, tag))
    const entry = known ?? { repository, name: tag, acknowledged: undefined, possible: [] }
    journal.tags.set(keyOf(repository, tag), entry)
    entry.possible.push(digest)
    return entry
  })
  const key = keyOf(repository, digest)
  journal.attemptedManifests.set(key, bytes)
  const path = `/v2/${repository}/manifests/${byTag ? first : digest}${query}`
  const options = { body: bytes, headers: { 'content-type': ociManifest } }
  expectAnswer(await journal.track(`PUT ${path}`, client.ask('PUT', path, options)), 201, `PUT ${path}`)
  journal.attemptedManifests.delete(key)
  journal.manifests.set(key, { bytes, verified: false })
  journal.promised.manifests++
  for (const tag of tags) {
    tag.acknowledged = digest
    tag.possible = []
    journal.promised.tags++
  }
}

/** Small ones are more frequent: the size's logarithm is what chance chooses. */
async function pushLayer(pusher: PusherOptions, repository: string): Promise<{ digest: string; size: number }> {
  const { random, journal } = pusher
  if (random.chance(0.15)) {
    const mounted = await mount(pusher, repository)
    if (mounted !== undefined) return mounted
  }
  const size = Math.round(leastBlob * (mostBlob / leastBlob) ** (random.integer(1_000_000) / 1_000_000))
  const bytes = patterned(random, size)
  if (random.chance(0.1)) {
    // An upload that is left half done, to be resumed after the restart.
    await leaveOpen(pusher, repository, patterned(random, random.between(leastBlob, 300_000)))
  }
  return random.chance(0.3) && journal.blobs.size > 0
    ? pushChunks(pusher, repository, bytes)
    : pushBytes(pusher, repository, bytes)
}

/** A short random text over and over: no two alike, and quick to make. */
function patterned(random: Random, size: number): Buffer {
  return Buffer.alloc(size, random.bytes(random.between(40, 97)))
}

async function mount({ client, journal, random }: PusherOptions, repository: string) {
  const keys = [...journal.blobs.keys()].slice(-200)
  if (keys.length === 0) return undefined
  const key = random.pick(keys)
  const [from, digest] = [key.slice(0, key.indexOf('@')), key.slice(key.indexOf('@') + 1)]
  if (from === repository) return undefined
  journal.attemptedBlobs.add(keyOf(repository, digest))
  const path = `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${from}`
  expectAnswer(await journal.track(`POST ${path}`, client.ask('POST', path)), 201, `POST ${path}`)
  const size = journal.blobs.get(key)?.size ?? 0
  acknowledge(journal, repository, digest, size)
  return { digest, size }
}

async function pushBytes(pusher: PusherOptions, repository: string, bytes: Buffer) {
  const { random, client, journal } = pusher
  const digest = sha256(bytes)
  const uploads = `/v2/${repository}/blobs/uploads/`
  const options: AskOptions = random.chance(0.2) ? { body: bytes, pieces: random.between(2, 20) } : { body: bytes }
  if (random.chance(0.5)) {
    const path = `${uploads}?digest=${digest}`
    journal.attemptedBlobs.add(keyOf(repository, digest))
    expectAnswer(await journal.track(`POST ${path}`, client.ask('POST', path, options)), 201, `POST ${path}`)
  } else {
    const location = await begin(pusher, uploads)
    await end(pusher, repository, location, bytes, digest, bytes.length, options)
  }
  acknowledge(journal, repository, digest, bytes.length)
  return { digest, size: bytes.length }
}

async function pushChunks(pusher: PusherOptions, repository: string, bytes: Buffer) {
  const { journal, random } = pusher
  const digest = sha256(bytes)
  const { location, at } = await patchSome(pusher, repository, bytes, digest, random.between(1, 4), bytes.length)
  const rest = bytes.subarray(at)
  await end(pusher, repository, location, bytes, digest, at, rest.length === 0 ? {} : { body: rest })
  acknowledge(journal, repository, digest, bytes.length)
  return { digest, size: bytes.length }
}

async function leaveOpen(pusher: PusherOptions, repository: string, bytes: Buffer): Promise<void> {
  const digest = sha256(bytes)
  const { location, at } = await patchSome(
    pusher,
    repository,
    bytes,
    digest,
    pusher.random.between(1, 3),
    bytes.length - 1,
  )
  pusher.journal.openUploads.push({ repository, location, bytes, digest, acknowledged: at, ending: false })
}

/** Begins an upload and sends so many chunks, of at most so many bytes together. */
async function patchSome(
  pusher: PusherOptions,
  repository: string,
  bytes: Buffer,
  digest: string,
  chunks: number,
  most: number,
) {
  const { client, journal, random } = pusher
  let location = await begin(pusher, `/v2/${repository}/blobs/uploads/`)
  let at = 0
  for (let chunk = 0; chunk < chunks && at < most; chunk++) {
    const end = Math.min(most, at + random.between(1, Math.ceil(bytes.length / chunks)))
    const headers: Record<string, string> = random.chance(0.5) ? { 'content-range': `${at}-${end - 1}` } : {}
    const what = `PATCH ${location}`
    try {
      const sent = client.ask('PATCH', location, { body: bytes.subarray(at, end), headers })
      const reply = expectAnswer(await journal.track(what, sent), 202, what)
      location = String(reply.headers.location)
      at = end
    } catch (error) {
      journal.openUploads.push({
        repository,
        location,
        bytes,
        digest,
        acknowledged: at,
        ending: false,
        lostAt: performance.now(),
      })
      throw error
    }
  }
  return { location, at }
}

async function begin({ client, journal }: PusherOptions, uploads: string): Promise<string> {
  const reply = await journal.track(`POST ${uploads}`, client.ask('POST', uploads))
  return String(expectAnswer(reply, 202, `POST ${uploads}`).headers.location)
}

async function end(
  { client, journal }: PusherOptions,
  repository: string,
  location: string,
  bytes: Buffer,
  digest: string,
  acknowledged: number,
  options: AskOptions,
): Promise<void> {
  const path = `${location}?digest=${digest}`
  journal.attemptedBlobs.add(keyOf(repository, digest))
  try {
    expectAnswer(await journal.track(`PUT ${path}`, client.ask('PUT', path, options)), 201, `PUT ${path}`)
  } catch (error) {
    const known = options.body?.length === bytes.length ? 0 : acknowledged
    if (!(error instanceof UnexpectedAnswer)) {
      journal.openUploads.push({
        repository,
        location,
        bytes,
        digest,
        acknowledged: known,
        ending: true,
        lostAt: performance.now(),
      })
    }
    throw error
  }
}

function acknowledge(journal: Journal, repository: string, digest: string, size: number): void {
  const key = keyOf(repository, digest)
  journal.attemptedBlobs.delete(key)
  journal.promised.blobs++
  journal.promised.megabytes += size / 1e6
  journal.blobs.set(key, { size, verified: false })
}

function expectAnswer(reply: Reply, status: number, what: string): Reply {
  if (reply.status === status) return reply
  throw new UnexpectedAnswer(`${what}: ${reply.status} ${reply.body.toString('utf8').slice(0, 300)}`)
}
