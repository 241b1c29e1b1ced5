/** Plain requests over kept connections: what pushes need, and the looks before a measurement. */
import { Agent, request } from 'node:http'
import { descriptorOf, manifest, mediaTypes, type SeedManifest, sha256 } from '../seed/images.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export interface Wire {
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>
  close(): void
}

export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** An array is sent piece by piece. */
  readonly body?: Uint8Array | readonly Uint8Array[]
  /** False for a body that nobody looks at. */
  readonly keepBody?: boolean
}

const patienceMs = 300_000

/** url: `http://127.0.0.1:<port>`. authorization: the header's value, for every request. */
export function createWire(url: string, authorization: string | undefined, connections = 64): Wire {
  const { hostname, port } = new URL(url)
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const always = authorization === undefined ? {} : { authorization }
  return {
    ask: (method, path, { headers = {}, body = [], keepBody = true } = {}) =>
      new Promise((resolve, reject) => {
        const pieces = body instanceof Uint8Array ? [body] : body
        const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
        const framing = method === 'GET' || method === 'HEAD' ? {} : { 'content-length': String(length) }
        const sent = request({
          ...{ agent, hostname, port, method, path },
          headers: { ...always, ...framing, ...headers },
          signal: AbortSignal.timeout(patienceMs),
        })
        sent.on('error', reject)
        sent.on('response', (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => void (keepBody && parts.push(part)))
          response.on('error', reject)
          response.on('end', () => {
            const { statusCode = 0, headers: received } = response
            resolve({ status: statusCode, headers: received, body: Buffer.concat(parts) })
          })
        })
        for (const piece of pieces) sent.write(piece)
        sent.end()
      }),
    close: () => agent.destroy(),
  }
}

/** Throws what came back unless the status is the one wanted. */
export function expectStatus(answer: Answer, status: number, what: string): Answer {
  if (answer.status === status) return answer
  throw new Error(`${what} answers ${answer.status} ${answer.body.toString('utf8').slice(0, 200).trim()}`)
}

export type PushStyle = 'monolithic' | 'chunked'

/** POST, then one PUT with everything; or POST, one PATCH with everything, and an empty PUT. */
export async function pushBlob(
  wire: Wire,
  repository: string,
  digest: string,
  bytes: Uint8Array | readonly Uint8Array[],
  style: PushStyle = 'monolithic',
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' }
  const begun = expectStatus(await wire.ask('POST', `/v2/${repository}/blobs/uploads/`), 202, 'POST of an upload')
  if (style === 'monolithic') {
    const path = withDigest(begun, digest)
    expectStatus(await wire.ask('PUT', path, { body: bytes, headers }), 201, 'PUT of a blob')
    return
  }
  const patched = await wire.ask('PATCH', locationOf(begun).path, { body: bytes, headers })
  const path = withDigest(expectStatus(patched, 202, 'PATCH of an upload'), digest)
  expectStatus(await wire.ask('PUT', path), 201, 'PUT that ends an upload')
}

export async function pushManifest(
  wire: Wire,
  repository: string,
  { tag, digest, mediaType, bytes }: SeedManifest,
): Promise<void> {
  const path = `/v2/${repository}/manifests/${tag ?? digest}`
  const headers = { 'content-type': mediaType }
  expectStatus(await wire.ask('PUT', path, { body: bytes, headers }), 201, 'PUT of a manifest')
}

/** Layers by their bytes, in pieces or whole. */
export async function pushImage(
  wire: Wire,
  repository: string,
  tag: string,
  config: Buffer,
  layers: readonly { readonly digest: string; readonly size: number; readonly bytes: readonly Uint8Array[] }[],
  style: PushStyle = 'monolithic',
): Promise<SeedManifest> {
  await pushBlob(wire, repository, sha256(config), config)
  for (const { digest, bytes } of layers) await pushBlob(wire, repository, digest, bytes, style)
  const image = manifest(
    {
      config: descriptorOf(mediaTypes.config, config),
      layers: layers.map(({ digest, size }) => ({ mediaType: mediaTypes.layer, digest, size })),
    },
    { tag },
  )
  await pushManifest(wire, repository, image)
  return image
}

function locationOf({ headers }: Answer): { readonly path: string; readonly separator: '?' | '&' } {
  const { location } = headers
  if (typeof location !== 'string') throw new Error('an upload has no Location')
  const { pathname, search } = new URL(location, 'http://127.0.0.1')
  return { path: pathname + search, separator: search === '' ? '?' : '&' }
}

function withDigest(answer: Answer, digest: string): string {
  const { path, separator } = locationOf(answer)
  return `${path}${separator}digest=${encodeURIComponent(digest)}`
}
