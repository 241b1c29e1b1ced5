/** What clients of the full disk were told, and the comparison with what the server has. */
import { type Client, type Reply, sha256 } from '../client.ts'
import type { Tally } from '../report.ts'

export interface HalfDone {
  readonly repository: string
  readonly location: string
  readonly bytes: Buffer
  /** How many of them were acknowledged. */
  readonly acknowledged: number
}

export interface Kept {
  /** `repository@digest` of what was acknowledged. */
  readonly blobs: Set<string>
  readonly manifests: Map<string, Buffer>
  /** `repository:tag`, and the digests that it may have: pushes that were refused may have moved it, or not. */
  readonly tags: Map<string, Set<string | undefined>>
  /** Manifests that were refused: there whole, or not at all. */
  readonly refused: Map<string, Buffer>
  readonly halfDone: HalfDone[]
  readonly tally: Tally
  readonly problems: string[]
}

/** How a full disk is told: 503, when to come back, and the envelope of the OCI specification with a code and a sentence. */
export function refusalProblem({ status, headers, body }: Reply): string | undefined {
  const text = body.toString('utf8')
  if (status !== 503) return `${status} ${text.slice(0, 300)}`
  if (!/^[1-9]\d*$/.test(String(headers['retry-after']))) return `503 without Retry-After: ${headers['retry-after']}`
  return isEnvelope(text) ? undefined : `503 with a body that no client understands: ${text.slice(0, 300)}`
}

function isEnvelope(text: string): boolean {
  try {
    const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] }
    return errors[0]?.code === 'UNAVAILABLE' && errors[0].message.length > 0
  } catch {
    return false
  }
}

export const keyOf = (repository: string, content: string) => `${repository}@${content}`

function pathOf(key: string, kind: 'blobs' | 'manifests'): string {
  const [repository, content] = key.split('@')
  return `/v2/${repository}/${kind}/${content}`
}

/** Everything acknowledged is there, byte for byte; of the rest, nothing is half there. */
export async function verifyKept(client: Client, kept: Kept, moment: string): Promise<void> {
  const wrong = (problem: string) => void kept.problems.push(`${moment}: ${problem}`)
  for (const key of kept.blobs) {
    const { status, body } = await client.ask('GET', pathOf(key, 'blobs'))
    if (status !== 200) wrong(`the acknowledged blob ${key} is ${status}`)
    else if (!key.endsWith(sha256(body))) wrong(`the acknowledged blob ${key} has the bytes of ${sha256(body)}`)
  }
  for (const [key, bytes] of kept.manifests) {
    const { status, body } = await client.ask('GET', pathOf(key, 'manifests'))
    if (status !== 200 || !body.equals(bytes))
      wrong(`the acknowledged manifest ${key} is ${status}, or has other bytes`)
  }
  for (const [key, bytes] of kept.refused) {
    const { status, body } = await client.ask('GET', pathOf(key, 'manifests'))
    if (status === 404) continue
    if (status !== 200 || !body.equals(bytes)) wrong(`the refused manifest ${key} is ${status}, or has other bytes`)
  }
  for (const [key, allowed] of kept.tags) {
    const [repository, tag] = key.split(':')
    const { status, body } = await client.ask('GET', `/v2/${repository}/manifests/${tag}`)
    const found = status === 200 ? sha256(body) : undefined
    if (status !== 200 && status !== 404) wrong(`the tag ${key} is ${status}`)
    else if (!allowed.has(found)) wrong(`the tag ${key} is ${found ?? 'not there'}, not ${[...allowed].join(' or ')}`)
    allowed.clear()
    allowed.add(found)
  }
  kept.tally.add('blobs verified', kept.blobs.size)
  kept.tally.add('manifests verified', kept.manifests.size)
}
