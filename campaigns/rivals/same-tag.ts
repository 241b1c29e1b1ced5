/** The same tag from everybody at once, with another manifest each or with the same one. */
import { type Client, pushBlob, sha256 } from '../client.ts'
import { ociManifest } from '../fuzz/world.ts'
import { barrier, expect201, pickAt, type Round } from './round.ts'

export interface Pushed {
  readonly repository: string
  readonly digest: string
  readonly bytes: Buffer
}

/** One for each client, all with the same layer. */
export async function makeManifests({ random, clients, repositories }: Round, layer: Buffer): Promise<Pushed[]> {
  return Promise.all(
    clients.map(async (client, index) => {
      const repository = pickAt(repositories, index)
      const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', n: random.text(12) }))
      const bytes = Buffer.from(
        JSON.stringify({
          ...{ schemaVersion: 2, mediaType: ociManifest },
          config: {
            mediaType: 'application/vnd.oci.image.config.v1+json',
            digest: await pushBlob(client, repository, config),
            size: config.length,
          },
          layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(layer), size: layer.length }],
        }),
      )
      return { repository, digest: sha256(bytes), bytes }
    }),
  )
}

export async function pushSameTag(round: Round, manifests: readonly Pushed[]): Promise<void> {
  const { clients, repositories, tag, tally, wrong } = round
  const before = new Map(
    await Promise.all(
      repositories.map(async (repository) => [repository, await tagged(clients[0]!, repository, tag)] as const),
    ),
  )
  const start = barrier(clients.length)
  const over = new AbortController()
  const allowed = (repository: string) => [
    before.get(repository),
    ...manifests.filter((manifest) => manifest.repository === repository).map(({ digest }) => digest),
  ]
  const watching = watchTag(round, allowed, over.signal)
  await Promise.all(
    manifests.map(async ({ repository, bytes }, index) => {
      const options = { body: bytes, headers: { 'content-type': ociManifest }, lastByteAfter: start.opened }
      start.arrive()
      const reply = await clients[index]!.ask('PUT', `/v2/${repository}/manifests/${tag}`, options)
      expect201(reply, 'the push of a tag that others push too', wrong)
      tally.add('rival pushes of a tag')
    }),
  )
  over.abort()
  await watching
  for (const repository of repositories) {
    const seen = await Promise.all(clients.map((client) => tagged(client, repository, tag)))
    const [found] = seen
    if (seen.some((digest) => digest !== found))
      wrong(`${repository}:${tag} is not the same for all: ${seen.join(', ')}`)
    if (found === undefined || !allowed(repository).slice(1).includes(found)) {
      wrong(`${repository}:${tag} is ${found ?? 'not there'}, and nobody has just pushed that`)
    }
  }
  for (const { repository, digest, bytes } of manifests) {
    const reply = await clients[0]!.ask('GET', `/v2/${repository}/manifests/${digest}`)
    if (reply.status !== 200 || !reply.body.equals(bytes))
      wrong(`a pushed manifest is ${reply.status}, or has other bytes`)
  }
}

/** At every moment the tag names what it named before, or one of what is being pushed. */
async function watchTag(
  { clients, repositories, tag, tally, wrong }: Round,
  allowed: (repository: string) => readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<void> {
  const seen = new Set<string | undefined>()
  const client = clients[0]!
  do {
    const repository = pickAt(repositories, tally.counts['looks at the tag meanwhile'] ?? 0)
    const found = await tagged(client, repository, tag)
    if (!allowed(repository).includes(found)) wrong(`meanwhile, ${repository}:${tag} is ${found ?? 'not there'}`)
    seen.add(found)
    tally.add('looks at the tag meanwhile')
  } while (!signal.aborted)
  if (seen.size > 1) tally.add('rounds in which a tag was seen to move')
}

async function tagged(client: Client, repository: string, tag: string): Promise<string | undefined> {
  const { status, body } = await client.ask('GET', `/v2/${repository}/manifests/${tag}`)
  return status === 200 ? sha256(body) : undefined
}
