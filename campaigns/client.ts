/** The few well-formed requests that campaigns need around their odd ones. */
import { createHash } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export interface Client {
  readonly authorization: string
  /** Rejects when the connection ends without an answer. */
  ask(method: string, path: string, options?: AskOptions): Promise<Reply>
  /** As somebody else, over the same connections. */
  as(authorization: string): Client
  close(): void
}

export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Sends the body in so many pieces with a pause of a few milliseconds, without a Content-Length. */
  readonly pieces?: number
  /** The last byte of the body waits for it: everything else is there already, so that requests end at the same moment. */
  readonly lastByteAfter?: Promise<unknown>
  /** How long to wait for the answer; a minute unless given. */
  readonly patienceMs?: number
}

/** What a request rejects with that takes so long that it is not slow, but hangs. */
export class NoAnswer extends Error {}

export const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

export const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`

export const bearer = (token: string): string => `Bearer ${token}`

export interface Wire {
  /** PEM of the authority to trust: the client speaks TLS. Plain HTTP without it. */
  readonly ca?: string
  /** A connection for each request unless this is so. */
  readonly keepAlive?: boolean
}

export function createClient(port: number, authorization: string, wire: Wire = { keepAlive: true }): Client {
  const { ca, keepAlive = false } = wire
  const agent = ca === undefined ? new http.Agent({ keepAlive }) : new https.Agent({ keepAlive, ca })
  return clientOver(agent, port, authorization)
}

function clientOver(agent: http.Agent | https.Agent, port: number, authorization: string): Client {
  const request = agent instanceof https.Agent ? https.request : http.request
  const ask: Client['ask'] = (method, path, options = {}) =>
    new Promise((resolve, reject) => {
      const { headers = {}, body, pieces, lastByteAfter, patienceMs = 60_000 } = options
      const framing = body === undefined || pieces !== undefined ? {} : { 'content-length': String(body.length) }
      const sent = request({
        agent,
        host: '127.0.0.1',
        servername: 'localhost',
        port,
        method,
        path,
        signal: AbortSignal.timeout(patienceMs),
        headers: { host: `localhost:${port}`, authorization, ...framing, ...headers },
      })
      sent.on('error', (error) => {
        const hung = error.name === 'AbortError' || error.name === 'TimeoutError'
        reject(hung ? new NoAnswer(`${method} ${path}: no answer within ${patienceMs} ms`) : error)
      })
      sent.on('response', (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('close', () => {
          if (!response.complete) reject(new Error('the answer was cut off'))
        })
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
        )
      })
      if (body !== undefined && pieces !== undefined) void sendInPieces(sent, body, pieces)
      else if (body !== undefined && lastByteAfter !== undefined) void sendAllButOne(sent, body, lastByteAfter)
      else sent.end(body)
    })
  return {
    authorization,
    ask,
    as: (other) => clientOver(agent, port, other),
    close: () => agent.destroy(),
  }
}

/** The same client; told is how many milliseconds each request took, and what came back, if anything. */
export function timed(client: Client, tell: (ms: number, reply: Reply | undefined) => void): Client {
  return {
    ...client,
    as: (authorization) => timed(client.as(authorization), tell),
    async ask(...request) {
      const started = performance.now()
      let reply: Reply | undefined
      try {
        reply = await client.ask(...request)
        return reply
      } finally {
        tell(performance.now() - started, reply)
      }
    },
  }
}

async function sendInPieces(sent: http.ClientRequest, body: Uint8Array, pieces: number): Promise<void> {
  const size = Math.max(1, Math.ceil(body.length / pieces))
  for (let at = 0; at < body.length && !sent.destroyed; at += size) {
    sent.write(body.subarray(at, at + size))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  sent.end()
}

async function sendAllButOne(sent: http.ClientRequest, body: Uint8Array, signal: Promise<unknown>): Promise<void> {
  sent.write(body.subarray(0, -1))
  await signal
  if (!sent.destroyed) sent.end(body.subarray(-1))
}

/** Throws what came back unless the status is the one wanted. */
export function expectStatus(reply: Reply, status: number, what: string): Reply {
  if (reply.status !== status) throw new Error(`${what}: ${reply.status} ${reply.body.toString('utf8').slice(0, 500)}`)
  return reply
}

/** Pushes bytes in one POST and gives their digest. */
export async function pushBlob(client: Client, repository: string, bytes: Uint8Array): Promise<string> {
  const digest = sha256(bytes)
  const reply = await client.ask('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: bytes })
  expectStatus(reply, 201, `push of a blob to ${repository}`)
  return digest
}

export async function pushManifest(
  client: Client,
  repository: string,
  reference: string | undefined,
  manifest: { readonly mediaType: string; readonly [field: string]: unknown },
): Promise<{ readonly digest: string; readonly bytes: Buffer }> {
  const bytes = Buffer.from(JSON.stringify(manifest))
  const digest = sha256(bytes)
  const reply = await client.ask('PUT', `/v2/${repository}/manifests/${reference ?? digest}`, {
    body: bytes,
    headers: { 'content-type': manifest.mediaType },
  })
  expectStatus(reply, 201, `push of a manifest to ${repository}:${reference ?? digest}`)
  return { digest, bytes }
}

/** An access token for the scopes, asked for with the credential. */
export async function fetchToken(client: Client, host: string, scopes: readonly string[]): Promise<string> {
  const query = new URLSearchParams([['service', host], ...scopes.map((scope) => ['scope', scope])])
  const reply = expectStatus(await client.ask('GET', `/oauth2/token?${query}`), 200, 'token')
  return (JSON.parse(reply.body.toString('utf8')) as { access_token: string }).access_token
}
