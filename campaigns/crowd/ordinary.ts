/** Clients as there are many: docker's way of pulling and pushing, and a look at the lists. The crowd must not reach them. */
import { setTimeout as pause } from 'node:timers/promises'
import {
  bearer,
  type Client,
  createClient,
  expectStatus,
  fetchToken,
  pushBlob,
  pushManifest,
  sha256,
  timed,
} from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { type Contents, fill, ociManifest } from '../fuzz/world.ts'
import { formatTimes } from '../report.ts'
import type { Target } from './target.ts'

export interface Ordinary {
  stop(): Promise<{
    readonly problems: string[]
    readonly notes: string[]
    readonly counts: Readonly<Record<string, number>>
  }>
}

/** What any request may take at most on a busy machine; a crowd that starves others makes it much longer, or endless. */
const boundMs = 10_000
const restMs = 100
const layerBytes = 300_000

type Errand = (client: Client, target: Target, home: Contents, random: Random) => Promise<void>

const errands: Readonly<Record<string, Errand>> = {
  pull: async (client, { host }, home) => {
    expectStatus(await client.as('').ask('GET', '/v2/'), 401, 'the challenge')
    const token = await fetchToken(client, host, [`repository:${home.repository}:pull`])
    const puller = client.as(bearer(token))
    const manifests = `/v2/${home.repository}/manifests`
    const manifest = expectStatus(await puller.ask('GET', `${manifests}/${home.tag}`), 200, 'manifest')
    if (sha256(manifest.body) !== home.manifest) throw new Error('a manifest has other bytes')
    const blob = expectStatus(await puller.ask('GET', `/v2/${home.repository}/blobs/${home.blob}`), 200, 'blob')
    if (!blob.body.equals(home.blobBytes)) throw new Error('a blob has other bytes')
  },
  push: async (client, _target, { repository }, random) => {
    const layer = await pushBlob(client, repository, Buffer.alloc(layerBytes, random.bytes(64)))
    const config = await pushBlob(client, repository, Buffer.from(JSON.stringify({ n: random.text(12) })))
    await pushManifest(client, repository, `t${random.integer(5)}`, {
      ...{ schemaVersion: 2, mediaType: ociManifest },
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 20 },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size: layerBytes }],
    })
  },
  lists: async (client, _target, { repository }) => {
    expectStatus(await client.ask('GET', `/v2/${repository}/tags/list?n=100`), 200, 'tags')
    expectStatus(await client.ask('GET', '/v2/_catalog?n=100'), 200, 'catalog')
  },
}

const ways = [
  { title: 'kept', ca: false, keepAlive: true },
  { title: 'a connection each', ca: false, keepAlive: false },
  { title: 'a TLS connection each', ca: true, keepAlive: false },
]

/** Three clients, each in its own way: every request is answered as it should be, and within the bound. */
export async function startOrdinary(target: Target, random: Random): Promise<Ordinary> {
  let stopped = false
  const problems: string[] = []
  const counts: Record<string, number> = {}
  const times = new Map<string, number[]>()

  async function work({ title, ca, keepAlive }: (typeof ways)[number], index: number): Promise<void> {
    const own = random.fork()
    const wire = { keepAlive, ...(ca ? { ca: target.ca } : {}) }
    const took: number[] = []
    times.set(title, took)
    const client = timed(createClient(target.port, target.authorization, wire), (ms) => took.push(ms))
    const home = await fill(client, `ordinary/c${index}`, own.bytes(100_000), 'latest', title)
    while (!stopped) {
      const [name, errand] = own.pick(Object.entries(errands))
      try {
        await errand(client, target, home, own)
        counts[`ordinary errands, ${name}`] = (counts[`ordinary errands, ${name}`] ?? 0) + 1
      } catch (error) {
        problems.push(`an ordinary ${name} (${title}): ${(error as Error).message}`)
      }
      await pause(restMs)
    }
    client.close()
  }

  const working = ways.map(work)
  return {
    async stop() {
      stopped = true
      await Promise.all(working)
      for (const [title, took] of times) {
        const slow = took.filter((ms) => ms > boundMs).length
        if (slow > 0) problems.push(`${slow} ordinary requests (${title}) took more than ${boundMs / 1000} s`)
      }
      const notes = [...times].map(
        ([title, took]) => `${took.length} ordinary requests, ${title}: ${formatTimes(took)}`,
      )
      return { problems, notes, counts }
    },
  }
}
