/** A client that pulls all the time: a full disk must not keep it from what is there. */
import { bearer, type Client, expectStatus, fetchToken, sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import type { Kept } from './kept.ts'

/** Resolves after the signal. host: of the server, for tokens. */
export async function pullUntil(
  signal: AbortSignal,
  { client, host, kept, random }: { client: Client; host: string; kept: Kept; random: Random },
): Promise<void> {
  while (!signal.aborted) {
    try {
      await pull(client, host, kept, random)
    } catch (error) {
      kept.problems.push(`a pull on the full disk: ${(error as Error).message}`)
    }
  }
}

async function pull(client: Client, host: string, kept: Kept, random: Random): Promise<void> {
  const manifests = [...kept.manifests.keys()]
  if (manifests.length === 0) throw new Error('there is nothing to pull')
  const [repository = '', digest = ''] = random.pick(manifests).split('@')
  const token = await fetchToken(client, host, [`repository:${repository}:pull`])
  const puller = client.as(bearer(token))
  const manifest = expectStatus(await puller.ask('GET', `/v2/${repository}/manifests/${digest}`), 200, 'manifest')
  if (sha256(manifest.body) !== digest) throw new Error(`${digest} has other bytes`)
  const { layers } = JSON.parse(manifest.body.toString('utf8')) as { layers: { digest: string }[] }
  for (const layer of layers) {
    const blob = expectStatus(await puller.ask('GET', `/v2/${repository}/blobs/${layer.digest}`), 200, 'blob')
    if (sha256(blob.body) !== layer.digest) throw new Error(`${layer.digest} has other bytes`)
  }
  expectStatus(await client.ask('GET', `/v2/${repository}/tags/list`), 200, 'tags')
  kept.tally.add('pulls meanwhile')
}
