/** Uploads a byte now and then: slow, but honest, so they are taken in the end. Manifests have to come within a minute. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { sha256 } from '../client.ts'
import type { Random } from '../fuzz/random.ts'
import { openRequest, type Target } from './target.ts'

export interface Senders {
  /** Sends what is left of each upload, and says what went wrong. */
  finish(): Promise<{ readonly problems: string[]; readonly counts: Readonly<Record<string, number>> }>
}

const leastPauseMs = 500
const mostPauseMs = 5_000
const restBytes = 50_000
const manifestMs = 60_000
const manifestSlackMs = 15_000

/** Every tenth sends a manifest, every fifth over TLS. */
export function startSenders(target: Target, count: number, random: Random): Senders {
  const stop = new AbortController()
  const problems: string[] = []
  const counts = { 'slow uploads taken': 0, 'slow manifests refused': 0, 'bytes sent one by one': 0 }

  async function dribble(request: ClientRequest, over: () => boolean, hash?: ReturnType<typeof createHash>) {
    while (!over()) {
      const byte = Buffer.from([random.integer(256)])
      hash?.update(byte)
      request.write(byte)
      counts['bytes sent one by one']++
      await pause(random.between(leastPauseMs, mostPauseMs), undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }

  async function sendBlob(index: number): Promise<void> {
    const wire = index % 5 === 0 ? 'tls' : 'plain'
    const location = await begin(target, `crowd/slow-${index}`)
    const request = openRequest(target, wire, 'PATCH', location)
    const answered = answerOf(request)
    const hash = createHash('sha256')
    await dribble(request, () => stop.signal.aborted || request.destroyed, hash)
    const rest = random.bytes(restBytes)
    hash.update(rest)
    request.end(rest)
    const patched = await answered
    if (patched.status !== 202) throw new Error(`PATCH ${location} a byte now and then: ${patched.status}`)
    const put = openRequest(target, wire, 'PUT', `${location}?digest=sha256:${hash.digest('hex')}`)
    put.end()
    const { status } = await answerOf(put)
    if (status !== 201) throw new Error(`PUT ${location} after a slow upload: ${status}`)
    counts['slow uploads taken']++
  }

  async function sendManifest(index: number): Promise<void> {
    const path = `/v2/crowd/slow-manifest-${index}/manifests/${sha256(Buffer.from(String(index)))}`
    const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json', 'content-length': '100000' }
    const request = openRequest(target, index % 5 === 0 ? 'tls' : 'plain', 'PUT', path, headers)
    const started = performance.now()
    let status: number | undefined
    const answered = answerOf(request).then((answer) => {
      status = answer.status
    })
    await dribble(request, () => stop.signal.aborted || status !== undefined || request.destroyed)
    if (status === undefined && performance.now() - started < manifestMs + manifestSlackMs) {
      request.destroy() // the campaign was over before the minute was
      await answered.catch(() => undefined)
      return
    }
    await answered
    if (status !== 408) throw new Error(`a manifest a byte now and then: ${status}, not 408 after a minute`)
    counts['slow manifests refused']++
    request.destroy()
  }

  const sending = Array.from({ length: count }, async (_, index) => {
    try {
      await (index % 10 === 9 ? sendManifest(index) : sendBlob(index))
    } catch (error) {
      problems.push(`slow sender ${index}: ${(error as Error).message}`)
    }
  })
  return {
    async finish() {
      stop.abort()
      await Promise.all(sending)
      return { problems, counts }
    },
  }
}

async function begin(target: Target, repository: string): Promise<string> {
  const request = openRequest(target, 'plain', 'POST', `/v2/${repository}/blobs/uploads/`)
  request.end()
  const { status, headers } = await answerOf(request)
  if (status !== 202) throw new Error(`POST of an upload: ${status}`)
  return String(headers.location)
}

async function answerOf(request: ClientRequest): Promise<{ status: number; headers: IncomingMessage['headers'] }> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  request.on('error', () => undefined) // the rest of a body that nobody wants any more
  await once(response, 'end')
  return { status: response.statusCode ?? 0, headers: response.headers }
}
