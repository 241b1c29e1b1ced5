/** Where one race is run: two repositories of its own, clients on different connections, and an account of what must be. */
import { setTimeout as pause } from 'node:timers/promises'
import { blobWays } from '../blob-ways.ts'
import { type AskOptions, type Client, expectStatus, type Reply, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { ociManifest } from '../fuzz/world.ts'
import type { Tally } from '../report.ts'
import type { Ledger } from './ledger.ts'

export interface Stage {
  readonly random: Random
  readonly here: Client
  readonly there: Client
  /** Two repositories that no other race touches. */
  readonly from: string
  readonly to: string
  /** Contents that all races of the wave share, so that the same bytes come and go in many repositories at once. */
  readonly popular: readonly Buffer[]
  readonly tally: Tally
  /** Whether what no manifest names may be collected at any moment. */
  readonly collecting: boolean
  readonly ledger: Ledger
  readonly wrong: (problem: string) => void
}

export interface Manifest {
  readonly digest: string
  readonly bytes: Buffer
  readonly blobs: readonly Buffer[]
}

const leastBytes = 200
const mostBytes = 20_000
const mostTries = 20
const longestMomentMs = 40

/** Starts both, and one of them a moment after the other, so that sometimes this and sometimes that comes first. */
export function together<One, Other>(
  { random }: Stage,
  one: () => Promise<One>,
  other: () => Promise<Other>,
): Promise<[One, Other]> {
  const moment = random.chance(0.3) ? 0 : random.integer(longestMomentMs)
  const [waitOne, waitOther] = random.chance(0.5) ? [moment, 0] : [0, moment]
  return Promise.all([pause(waitOne).then(one), pause(waitOther).then(other)])
}

/** Fresh bytes, or at times well-known ones. */
export const someBytes = ({ random, popular }: Stage): Buffer =>
  random.chance(0.4)
    ? random.pick(popular)
    : Buffer.alloc(random.between(leastBytes, mostBytes), random.bytes(random.between(40, 97)))

/** An image of that layer, unlike every other one. */
export function imageOf({ random }: Stage, layer: Buffer, subject?: Manifest): Manifest {
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', n: random.text(16) }))
  const bytes = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: ociManifest },
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(layer), size: layer.length }],
      ...(subject === undefined
        ? {}
        : { subject: { mediaType: ociManifest, digest: subject.digest, size: subject.bytes.length } }),
    }),
  )
  return { digest: sha256(bytes), bytes, blobs: [config, layer] }
}

/** In one of the ways that there are. */
export async function pushBlob({ random, tally }: Stage, client: Client, repository: string, bytes: Buffer) {
  const [way, push] = random.pick(Object.entries(blobWays))
  const blob = { repository, digest: sha256(bytes), bytes, go: Promise.resolve() }
  expectStatus(await push(client, blob, () => undefined), 201, `push of a blob (${way})`)
  tally.add('blobs pushed')
}

export function putManifest(
  client: Client,
  repository: string,
  { digest, bytes }: Manifest,
  tag?: string,
): Promise<Reply> {
  const path = `/v2/${repository}/manifests/${tag ?? digest}`
  return ask(client, 'PUT', path, { body: bytes, headers: { 'content-type': ociManifest } })
}

/** Pushes what it names and the manifest, again and again while garbage collection is quicker. */
export async function pushImage(stage: Stage, client: Client, repository: string, image: Manifest, tag?: string) {
  for (let tries = 1; ; tries++) {
    for (const blob of image.blobs) await pushBlob(stage, client, repository, blob)
    const { status, body } = await putManifest(client, repository, image, tag)
    if (status === 201) return
    if (!(status === 400 && stage.collecting && body.includes('MANIFEST_BLOB_UNKNOWN') && tries < mostTries)) {
      throw new Error(`push of a manifest: ${status} ${body.toString('utf8').slice(0, 300)}`)
    }
    stage.tally.add('blobs collected under a push')
  }
}

/** For what was pushed before: only the manifest, and everything anew where garbage collection was quicker. */
export async function putImage(stage: Stage, client: Client, repository: string, image: Manifest, tag?: string) {
  const reply = await putManifest(client, repository, image, tag)
  if (wasTaken(stage, reply)) return
  if (!stage.collecting) stage.wrong('what was pushed is gone, though nobody deleted it')
  await pushImage(stage, client, repository, image, tag)
}

/** For a layer that is there already: only the config is pushed. Whether the manifest was taken. */
export async function nameLayer(stage: Stage, client: Client, repository: string, image: Manifest): Promise<boolean> {
  const [config] = image.blobs
  if (config !== undefined) await pushBlob(stage, client, repository, config)
  const reply = await putManifest(client, repository, image)
  return wasTaken(stage, reply)
}

/** 201, or 400 because something that it names is not there. */
export function wasTaken({ wrong }: Stage, { status, body }: Reply): boolean {
  const refused = status === 400 && body.includes('MANIFEST_BLOB_UNKNOWN')
  if (status !== 201 && !refused) wrong(`PUT of a manifest: ${status} ${body.toString('utf8').slice(0, 300)}`)
  return status === 201
}

/** The statuses that two requests were answered with must be one of the pairs. */
export function expectPair({ wrong }: Stage, what: string, found: readonly number[], allowed: readonly string[]): void {
  if (!allowed.includes(found.join(' '))) wrong(`${what} were answered ${found.join(' and ')}`)
}

export const ask = (client: Client, method: string, path: string, options?: AskOptions): Promise<Reply> =>
  client.ask(method, path, options)

export const deleteOf = (client: Client, repository: string, kind: 'blobs' | 'manifests', reference: string) =>
  ask(client, 'DELETE', `/v2/${repository}/${kind}/${reference}`)
