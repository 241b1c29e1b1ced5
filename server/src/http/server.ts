/**
 * From `node:http` to a route and back: who is asked (host, plane, route), may the caller, what is the answer, and one log
 * line about it. Handlers hold no try/catch for translation; faults are put into their plane's envelope here.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Fault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Scope } from '../base/scope.ts'
import type { ClientView } from './authority.ts'
import { bodyReader } from './body.ts'
import type { Plane } from './plane.ts'
import type { Reply, ReplyHeaders } from './reply.ts'
import type { AuthorizedRequest, Caller, HttpRequest } from './request.ts'
import { nobody } from './route.ts'
import { createRouter, type Match, type Router } from './router.ts'
import { send } from './send.ts'

export interface ServerParts {
  readonly planes: readonly Plane[]
  readonly clientView: (message: IncomingMessage) => ClientView
  /** The registry that a host names, by its rules alone: it need not exist. Undefined: nobody's host. */
  readonly registryOf: (authority: string) => string | undefined
  /** Lets the caller in or throws `unauthenticated`, `scopeInsufficient` or `loginsThrottled`. */
  readonly authorize: (request: HttpRequest, needs: readonly Scope[]) => Promise<Caller>
  readonly log: Log
  readonly observe: (exchange: Exchange) => void
  readonly smallBodyTimeoutMs: number
}

/** What is known about an exchange when it is over. */
export interface Exchange {
  readonly method: string
  readonly path: string
  /** The route's pattern, so that metrics have few labels; `none` when no route matched. */
  readonly route: string
  readonly status: number
  readonly seconds: number
  readonly bytesSent: number
}

const anonymous: Caller = { subject: 'anonymous', mayMountFrom: () => false }

/** How long a refused request's body is still read, so that the client gets to see the refusal. */
const lingerMs = 30_000

export interface Handler {
  handle(message: IncomingMessage, response: ServerResponse): void
  /** Resolves when no request is being worked on, also none whose connection is gone already. */
  settled(): Promise<void>
}

export function createHandler(parts: ServerParts): Handler {
  const planes = parts.planes.map((plane) => ({ plane, router: createRouter(plane.routes) }))
  const running = new Set<Promise<void>>()
  return {
    handle(message, response) {
      const served = serve(parts, planes, message, response)
      running.add(served)
      void served.finally(() => running.delete(served))
    },
    async settled() {
      await Promise.allSettled(running)
    },
  }
}

type RoutedPlane = { readonly plane: Plane; readonly router: Router }

async function serve(
  parts: ServerParts,
  planes: readonly RoutedPlane[],
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now()
  const method = message.method ?? 'GET'
  const correlationId = randomUUID()
  const { rawPath, query } = splitTarget(message.url ?? '/')
  const chosen = planes.find(({ plane }) => plane.prefixes.some((prefix) => rawPath.startsWith(prefix))) ?? planes[0]
  if (chosen === undefined) throw new Error('a server needs a plane')
  const { plane, router } = chosen
  const fallback = { method, rawPath, scheme: 'http', authority: message.headers.host ?? '', correlationId } as const
  let request: HttpRequest | undefined
  let match: Match | undefined
  let user: string | undefined
  const attribute = (subject: string) => {
    user = subject.slice(0, 128)
  }
  let failure: unknown
  let reply: Reply
  try {
    request = requestOf(parts, plane, message, response, { method, rawPath, query, correlationId, attribute })
    match = router.find(method, decodePath(rawPath))
    if (match === undefined) throw new Fault('routeUnknown', { path: rawPath })
    const { needs, handle } = match.route
    const parameters = match.parameters as never
    const caller = needs === nobody ? anonymous : await parts.authorize(request, needs(parameters))
    attribute(caller.subject)
    const authorized: AuthorizedRequest = Object.assign(request, { caller })
    reply = await whileAwake(message, () => handle(parameters, authorized))
  } catch (error) {
    failure = error
    reply = error instanceof Fault ? plane.fault(error, request ?? fallback) : plane.bug(correlationId)
  }
  let bytesSent = 0
  try {
    bytesSent = await send(response, method, reply, { ...plane.headers, ...correlation(message, correlationId) })
  } catch (error) {
    failure ??= new Fault('clientGone', { bytesReceived: 0 }, { cause: error })
  }
  linger(message)
  const seconds = (performance.now() - started) / 1000
  const route = match?.route.path ?? 'none'
  parts.observe({ method, path: rawPath, route, status: reply.status, seconds, bytesSent })
  const line = {
    method,
    path: rawPath.slice(0, 1024),
    route,
    status: reply.status,
    ms: Math.round(seconds * 1e4) / 10,
    sent: bytesSent,
    host: request?.authority,
    remote: request?.remoteAddress,
    user,
    agent: message.headers['user-agent']?.slice(0, 200),
    correlationId,
  }
  if (failure === undefined) parts.log.info(line, 'request')
  else if (isOurTrouble(failure)) parts.log.error({ ...line, fault: failure.code, err: failure.cause }, 'request')
  else if (failure instanceof Fault) parts.log.info({ ...line, fault: failure.code }, 'request')
  else parts.log.error({ ...line, err: failure }, 'request failed')
}

/** How often a connection that waits for us is kept from counting as idle. */
const awakeMs = 20_000

/**
 * The listener cuts connections that stand still. Once a body has arrived it is not the client's silence but our work,
 * such as hashing a huge blob again, that takes the time.
 */
async function whileAwake<T>(message: IncomingMessage, work: () => T | Promise<T>): Promise<T> {
  if (message.method === 'GET' || message.method === 'HEAD') return work()
  const { socket } = message
  const timer = setInterval(() => {
    if (message.complete) socket.setTimeout(socket.timeout ?? 0)
  }, awakeMs)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}

/** A fault that says nothing against the client: its cause is for the operator. */
function isOurTrouble(failure: unknown): failure is Fault<'unavailable'> {
  return failure instanceof Fault && failure.code === 'unavailable'
}

function requestOf(
  parts: ServerParts,
  plane: Plane,
  message: IncomingMessage,
  response: ServerResponse,
  known: Pick<HttpRequest, 'method' | 'rawPath' | 'correlationId' | 'attribute'> & { query: string },
): HttpRequest {
  const view = parts.clientView(message)
  const registry = parts.registryOf(view.authority)
  if (plane.registryHosts && registry === undefined) throw new Fault('hostUnknown', { host: view.authority })
  const body = bodyReader(message, response, parts.smallBodyTimeoutMs)
  const length = message.headers['content-length']
  let query: URLSearchParams | undefined
  return {
    method: known.method,
    rawPath: known.rawPath,
    get query() {
      query ??= new URLSearchParams(known.query)
      return query
    },
    headers: message.headers,
    headerValues: (name) => message.headersDistinct[name.toLowerCase()] ?? [],
    ...view,
    registry: registry ?? '',
    correlationId: known.correlationId,
    attribute: known.attribute,
    contentLength: length === undefined ? undefined : Number(length),
    body: body.stream,
    readBody: body.read,
  }
}

function splitTarget(target: string): { rawPath: string; query: string } {
  // A proxy-style absolute target (RFC 9112 §3.2.2) is reduced to its path; its host is that of the Host header.
  const path = target.startsWith('/') ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  const mark = path.indexOf('?')
  return mark < 0 ? { rawPath: path, query: '' } : { rawPath: path.slice(0, mark), query: path.slice(mark + 1) }
}

/** SDKs send `/` and `:` inside names percent-encoded; both forms must meet the same route. */
function decodePath(rawPath: string): string {
  if (!rawPath.includes('%')) return rawPath
  try {
    return decodeURIComponent(rawPath)
  } catch (error) {
    throw new Fault('requestInvalid', { reason: 'the path is not valid percent-encoded UTF-8' }, { cause: error })
  }
}

/** ACR: a correlation id on every answer, and the client's own request id back. */
function correlation(message: IncomingMessage, correlationId: string): ReplyHeaders {
  const own = message.headers['x-ms-client-request-id']
  const echo = typeof own === 'string' && /^[\x21-\x7e]{1,128}$/.test(own) ? own : ''
  return {
    'X-Ms-Correlation-Request-Id': correlationId,
    'X-Ms-Request-Id': correlationId,
    'X-Ms-Client-Request-Id': echo,
  }
}

/**
 * Reads on for a while after an early refusal and drops what comes: closing at once would reset the connection under the
 * reply, and a client in the middle of its upload would never see it.
 */
function linger(message: IncomingMessage): void {
  if (message.complete || message.destroyed) return
  const timer = setTimeout(() => message.destroy(), lingerMs)
  timer.unref()
  message.once('close', () => clearTimeout(timer))
  message.on('error', () => message.destroy())
  message.resume()
}
