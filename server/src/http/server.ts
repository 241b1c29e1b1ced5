/**
 * From `node:http` to a route and back: who is asked (host, plane, route), may the caller, what is the answer, and one log
 * line about it. Handlers hold no try/catch for translation; faults are put into their plane's envelope here.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Fault, isFault } from '../base/fault.ts'
import type { Log } from '../base/log.ts'
import type { Scope } from '../base/scope.ts'
import { answerOf } from './answer.ts'
import type { ClientView, Connection } from './authority.ts'
import { smallBodyMs } from './body.ts'
import { nodeTransport } from './node-transport.ts'
import type { Plane } from './plane.ts'
import type { Reply, ReplyHeaders } from './reply.ts'
import type { AuthorizedRequest, Caller, HttpRequest } from './request.ts'
import { nobody } from './route.ts'
import { createRouter, type Match, type Router } from './router.ts'
import type { Transport } from './transport.ts'

export interface ServerParts {
  readonly planes: readonly Plane[]
  readonly clientView: (connection: Connection) => ClientView
  /** The registry that a host names, by its rules alone: it need not exist. Undefined: nobody's host. */
  readonly registryOf: (authority: string) => string | undefined
  /** Lets the caller in or throws `unauthenticated`, `scopeInsufficient` or `loginsThrottled`. */
  readonly authorize: (request: HttpRequest, needs: readonly Scope[]) => Promise<Caller>
  readonly log: Log
  /** Whether a request that went well gets a line in the log. */
  readonly logsRequests: boolean
  readonly observe: (exchange: Exchange) => void
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

export interface Handler {
  handle(message: IncomingMessage, response: ServerResponse): void
  /** Resolves when the request has been answered. */
  serve(transport: Transport): Promise<void>
  /** Resolves when no request is being worked on, also none whose connection is gone already. */
  settled(): Promise<void>
}

export function createHandler(parts: ServerParts): Handler {
  const planes = parts.planes.map((plane) => ({ plane, router: createRouter(plane.routes) }))
  const running = new Set<Promise<void>>()
  const serve = (transport: Transport) => {
    const served = serveRequest(parts, planes, transport).finally(() => running.delete(served))
    running.add(served)
    return served
  }
  return {
    handle: (message, response) => void serve(nodeTransport(message, response, smallBodyMs)),
    serve,
    async settled() {
      await Promise.allSettled(running)
    },
  }
}

type RoutedPlane = { readonly plane: Plane; readonly router: Router }

async function serveRequest(parts: ServerParts, planes: readonly RoutedPlane[], transport: Transport): Promise<void> {
  const started = performance.now()
  const { method, headers } = transport
  const correlationId = randomUUID()
  const { rawPath, query } = splitTarget(transport.target)
  const chosen = planes.find(({ plane }) => plane.prefixes.some((prefix) => rawPath.startsWith(prefix))) ?? planes[0]
  if (chosen === undefined) throw new Error('a server needs a plane')
  const { plane, router } = chosen
  let request: TransportedRequest | undefined
  let match: Match | undefined
  let user: string | undefined
  const attribute = (subject: string) => {
    user = subject.slice(0, 128)
  }
  let failure: unknown
  let reply: Reply
  try {
    request = requestOf(parts, plane, transport, { rawPath, query, correlationId, attribute })
    match = router.find(method, decodePath(rawPath))
    if (match === undefined) throw new Fault('routeUnknown', { path: rawPath })
    const { needs, handle } = match.route
    const parameters = match.parameters as never
    const caller = needs === nobody ? anonymous : await parts.authorize(request, needs(parameters))
    attribute(caller.subject)
    request.caller = caller
    const authorized: AuthorizedRequest = request
    reply = await transport.awake(() => handle(parameters, authorized))
  } catch (error) {
    failure = error
    const context = request ?? { method, rawPath, scheme: 'http', authority: headers.host ?? '', correlationId }
    reply = error instanceof Fault ? plane.fault(error, context) : plane.bug(correlationId)
  }
  let bytesSent = 0
  try {
    bytesSent = await transport.send(answerOf(method, reply, plane.headers, correlation(headers, correlationId)))
  } catch (error) {
    failure ??= error instanceof Fault ? error : new Fault('clientGone', { bytesReceived: 0 }, { cause: error })
  }
  const seconds = (performance.now() - started) / 1000
  const route = match?.route.path ?? 'none'
  parts.observe({ method, path: rawPath, route, status: reply.status, seconds, bytesSent })
  if (failure === undefined && !parts.logsRequests) return
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
    agent: headers['user-agent']?.slice(0, 200),
    correlationId,
  }
  if (failure === undefined) parts.log.info(line, 'request')
  else if (isOurTrouble(failure))
    parts.log.error({ ...line, fault: failure.code, reason: failure.detail.reason, err: failure.cause }, 'request')
  else if (failure instanceof Fault) parts.log.info({ ...line, fault: failure.code }, 'request')
  else parts.log.error({ ...line, err: failure }, 'request failed')
}

/** A fault that says nothing against the client: its cause is for the operator. */
function isOurTrouble(failure: unknown): failure is Fault<'blobDamaged' | 'unavailable'> {
  return isFault(failure, 'unavailable') || isFault(failure, 'blobDamaged')
}

interface KnownOfRequest {
  readonly rawPath: string
  readonly query: string
  readonly correlationId: string
  readonly attribute: (subject: string) => void
}

function requestOf(parts: ServerParts, plane: Plane, transport: Transport, known: KnownOfRequest): TransportedRequest {
  const view = parts.clientView(transport)
  const registry = parts.registryOf(view.authority)
  if (plane.registryHosts && registry === undefined) throw new Fault('hostUnknown', { host: view.authority })
  return new TransportedRequest(transport, known, view, registry ?? '')
}

/** A class, because one is made for every request: fields are cheaper to set than closures are to make. */
class TransportedRequest implements AuthorizedRequest {
  readonly method: string
  readonly rawPath: string
  readonly headers: IncomingHttpHeaders
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly remoteAddress: string
  readonly registry: string
  readonly correlationId: string
  readonly attribute: (subject: string) => void
  caller: Caller = anonymous
  readonly #transport: Transport
  readonly #queryText: string
  #query: URLSearchParams | undefined

  constructor(transport: Transport, known: KnownOfRequest, view: ClientView, registry: string) {
    this.#transport = transport
    this.method = transport.method
    this.headers = transport.headers
    this.rawPath = known.rawPath
    this.#queryText = known.query
    this.correlationId = known.correlationId
    this.attribute = known.attribute
    this.scheme = view.scheme
    this.authority = view.authority
    this.remoteAddress = view.remoteAddress
    this.registry = registry
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#queryText)
    return this.#query
  }

  get contentLength(): number | undefined {
    const length = this.headers['content-length']
    return length === undefined ? undefined : Number(length)
  }

  headerValues(name: string): readonly string[] {
    return this.#transport.headerValues(name.toLowerCase())
  }

  body(): AsyncIterable<Uint8Array> {
    return this.#transport.body.stream()
  }

  readBody(limitBytes: number): Promise<Buffer> {
    return this.#transport.body.read(limitBytes)
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
function correlation(headers: IncomingHttpHeaders, correlationId: string): ReplyHeaders {
  const own = headers['x-ms-client-request-id']
  const echo = typeof own === 'string' && /^[\x21-\x7e]{1,128}$/.test(own) ? own : ''
  return {
    'X-Ms-Correlation-Request-Id': correlationId,
    'X-Ms-Request-Id': correlationId,
    'X-Ms-Client-Request-Id': echo,
  }
}
