/** A client that pushes on a disk that may be full at any moment, and keeps account of what it was told. */
import { type Client, type Reply, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { ociManifest } from '../fuzz/world.ts'
import { type HalfDone, type Kept, keyOf, refusalProblem } from './kept.ts'

export interface Pusher {
  readonly client: Client
  readonly repository: string
  readonly random: Random
  readonly kept: Kept
}

/** Rejected with where the disk was full; everything that is no proper refusal is in `problems` already. */
export class Refused extends Error {}

const leastLayer = 2_000
const mostLayer = 1_500_000
const manifestTags = 3

/** Faults: `Refused`. */
export async function pushImage(pusher: Pusher): Promise<void> {
  const { random } = pusher
  const layers = [await pushLayer(pusher)]
  if (random.chance(0.3)) layers.push(await pushLayer(pusher))
  const config = await pushBytes(pusher, Buffer.from(JSON.stringify({ n: random.text(12) })))
  await pushManifest(pusher, config, layers, random.between(0, 2_000))
}

interface Part {
  readonly digest: string
  readonly size: number
}

/** noteBytes: how large it is made by an annotation, so that the log of the database grows. Faults: `Refused`. */
export async function pushManifest(
  { client, repository, random, kept }: Pusher,
  config: Part,
  layers: readonly Part[],
  noteBytes: number,
): Promise<void> {
  const bytes = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: ociManifest },
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
      annotations: { note: random.text(16).padEnd(noteBytes, 'x') },
    }),
  )
  const digest = sha256(bytes)
  const key = keyOf(repository, digest)
  const tag = `t${random.integer(manifestTags)}`
  const allowed = kept.tags.get(`${repository}:${tag}`) ?? new Set<string | undefined>([undefined])
  kept.tags.set(`${repository}:${tag}`, allowed.add(digest))
  kept.refused.set(key, bytes)
  const path = `/v2/${repository}/manifests/${tag}`
  const reply = await client.ask('PUT', path, { body: bytes, headers: { 'content-type': ociManifest } })
  taken(kept, reply, 201, 'manifest')
  kept.refused.delete(key)
  kept.manifests.set(key, bytes)
  allowed.clear()
  allowed.add(digest)
}

async function pushLayer(pusher: Pusher): Promise<Part> {
  const { random } = pusher
  const size = Math.round(leastLayer * (mostLayer / leastLayer) ** (random.integer(1_000) / 1_000))
  const bytes = Buffer.alloc(size, random.bytes(64))
  return random.chance(0.3) ? pushChunks(pusher, bytes) : pushBytes(pusher, bytes)
}

/** Faults: `Refused`. */
export async function pushBytes({ client, repository, random, kept }: Pusher, bytes: Buffer): Promise<Part> {
  const digest = sha256(bytes)
  const uploads = `/v2/${repository}/blobs/uploads/`
  if (random.chance(0.5)) {
    taken(kept, await client.ask('POST', `${uploads}?digest=${digest}`, { body: bytes }), 201, 'blob in one POST')
  } else {
    const { headers } = taken(kept, await client.ask('POST', uploads), 202, 'begin of an upload')
    const end = await client.ask('PUT', `${headers.location}?digest=${digest}`, { body: bytes })
    if (end.status !== 201) stopped(kept, { repository, location: String(headers.location), bytes, acknowledged: 0 })
    taken(kept, end, 201, 'end of an upload')
  }
  kept.blobs.add(keyOf(repository, digest))
  return { digest, size: bytes.length }
}

/** What is refused in the middle is remembered, to be resumed when there is room again. Faults: `Refused`. */
async function pushChunks({ client, repository, random, kept }: Pusher, bytes: Buffer): Promise<Part> {
  const digest = sha256(bytes)
  const begun = taken(kept, await client.ask('POST', `/v2/${repository}/blobs/uploads/`), 202, 'begin of an upload')
  const location = String(begun.headers.location)
  let at = 0
  const expect = (reply: Reply, status: number, what: string) => {
    if (reply.status !== status) stopped(kept, { repository, location, bytes, acknowledged: at })
    return taken(kept, reply, status, what)
  }
  const step = Math.ceil(bytes.length / random.between(1, 4))
  for (; at < bytes.length; at += step) {
    const chunk = bytes.subarray(at, at + step)
    const headers = { 'content-range': `${at}-${at + chunk.length - 1}` }
    expect(await client.ask('PATCH', location, { body: chunk, headers }), 202, 'chunk of an upload')
  }
  at = bytes.length
  expect(await client.ask('PUT', `${location}?digest=${digest}`), 201, 'end of an upload in chunks')
  kept.blobs.add(keyOf(repository, digest))
  return { digest, size: bytes.length }
}

function stopped({ halfDone, tally }: Kept, upload: HalfDone): void {
  halfDone.push(upload)
  tally.add('refused in the middle of an upload')
}

function taken({ tally, problems }: Kept, reply: Reply, status: number, what: string): Reply {
  if (reply.status === status) {
    tally.add(`taken: ${what}`)
    return reply
  }
  const problem = refusalProblem(reply)
  if (problem === undefined) tally.add(`refused: ${what}`)
  else problems.push(`the refusal of a ${what}: ${problem}`)
  throw new Refused(what)
}
