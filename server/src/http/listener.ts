/**
 * The port: one listener that speaks HTTPS and, where it may, plain HTTP; the first byte of a connection tells which.
 * Owns connections and their time limits. What a request means is the handler's business.
 */
import { createServer as createHttpServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type SecureContext, type Server as TlsServer } from 'node:tls'
import { type Log, silentLog } from '../base/log.ts'
import { smallBodyMs } from './body.ts'
import { answerMalformed } from './malformed-request.ts'
import { createPlainLane, lookMs } from './plain-lane.ts'
import type { Transport } from './transport.ts'

export interface ListenerTls {
  /** PEM. Asked again every minute, so that a renewed certificate is used without a restart. */
  defaultCertificate(): Promise<{ readonly certificate: string; readonly key: string }>
  /** For the name that a client asks for (SNI); undefined: the default one. */
  certificateFor?(name: string): Promise<SecureContext | undefined>
}

/** What becomes of plain HTTP on the port. `refuse`: it gets 400 and a sentence. */
export type ListenerSecurity =
  | { readonly plain: 'only' }
  | { readonly plain: 'also' | 'refuse'; readonly tls: ListenerTls }

export type ListenerOptions = ListenerSecurity & {
  readonly handler: RequestListener
  /** Answers plain requests, past `node:http`; without it `handler` gets them like all others. */
  readonly serve?: (transport: Transport) => Promise<void>
  readonly timeouts?: Partial<ListenerTimeouts>
  /** 48 bytes that all processes behind one port share, so that each can resume the others' sessions. */
  readonly ticketKeys?: Buffer | undefined
  readonly log?: Log
}

export interface ListenerTimeouts {
  /** A connection's first byte. */
  readonly firstByteMs: number
  /** The TLS handshake, from its first byte on. */
  readonly handshakeMs: number
  /** A request's head. There is no limit for a whole request: uploads may take hours. */
  readonly headersMs: number
  /** Silence in both directions within a request. */
  readonly idleMs: number
  /** Silence between two requests. */
  readonly keepAliveMs: number
  /** A body that is read whole, where the listener reads it itself. */
  readonly smallBodyMs: number
}

const defaultTimeouts: ListenerTimeouts = {
  firstByteMs: 10_000,
  handshakeMs: 10_000,
  headersMs: 15_000,
  idleMs: 60_000,
  keepAliveMs: 75_000,
  smallBodyMs,
}

export interface Listener {
  /**
   * Returns the port, which matters where 0 was asked for. `127.0.0.1` and `localhost` include `::1` where the machine has
   * it. Works in a worker of `node:cluster`. Throws `ListenError`.
   */
  listen(host: string, port: number): Promise<{ port: number }>
  /**
   * Accepts nothing more, closes idle connections, and lets running requests finish for so long (they are answered with
   * `Connection: close`). Resolves when all connections are gone; returns how many had to be cut.
   */
  drain(ms: number): Promise<number>
  connections(): number
}

/** Why the port cannot be had: a sentence for the operator. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const tlsHandshakeByte = 0x16
const certificateRefreshMs = 60_000
const maxHeaderSize = 16 * 1024
/** While draining: how often connections that have become idle are looked for. */
const drainPollMs = 25
/** While draining: how long a connection without any request yet is waited for. */
const firstRequestMs = 500

export function createListener(options: ListenerOptions): Listener {
  const { handler, log = silentLog } = options
  const timeouts = { ...defaultTimeouts, ...options.timeouts }
  const sockets = new Set<Socket>()
  /** The newest response of every connection that speaks HTTP; undefined before its first request. */
  const responses = new Map<Socket, ServerResponse | undefined>()
  let draining = false

  const http = createHttpServer({
    maxHeaderSize,
    headersTimeout: timeouts.headersMs,
    requestTimeout: 0,
    keepAliveTimeout: timeouts.keepAliveMs,
    connectionsCheckingInterval: Math.min(5_000, Math.ceil(timeouts.headersMs / 5)),
    requireHostHeader: false, // the handler refuses it, in its own envelope
  })
  http.timeout = timeouts.idleMs
  http.on('connection', (socket: Socket) => {
    responses.set(socket, undefined)
    socket.once('close', () => responses.delete(socket))
  })
  const answer: RequestListener = (request, response) => {
    responses.set(request.socket, response)
    if (draining) response.shouldKeepAlive = false
    handler(request, response)
  }
  http.on('request', answer)
  http.on('checkContinue', answer) // the handler says "100 Continue" itself, once it wants the body
  http.on('checkExpectation', answer) // another expectation is ignored, as RFC 9110 §10.1.1 allows; Node's 417 has no envelope
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    log.info({ remote: (socket as Socket).remoteAddress, reason: error.code ?? error.message }, 'malformed request')
    answerMalformed(error, socket as Socket, responses.get(socket as Socket))
  })

  /** Connections that have not come as far as HTTP, and the end of our patience with each. */
  const strangers = new Map<Socket, NodeJS.Timeout>()
  /** Those of them that are in a TLS handshake. */
  const handshakes = new Map<string, Socket>()
  const servers: NetServer[] = []
  let secure: TlsServer | undefined
  let refresh: NodeJS.Timeout | undefined

  const { serve } = options
  const lane =
    serve &&
    createPlainLane({
      ...timeouts,
      serve,
      handOver(socket) {
        http.emit('connection', socket)
        socket.resume()
      },
    })
  const looking = lane && setInterval(() => lane.closeLongIdle(), lookMs).unref()
  const speakHttp = (socket: Socket) => (lane === undefined ? http.emit('connection', socket) : lane.take(socket))

  function accept(socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (options.plain === 'only') {
      speakHttp(socket)
      return
    }
    socket.on('error', () => {}) // a reset is no news; "close" follows
    socket.once('close', () => forget(socket))
    if (options.plain === 'refuse') {
      speakTls(socket)
      return
    }
    limit(socket, timeouts.firstByteMs)
    whenItSpeaks(socket, (firstByte) => {
      if (firstByte === tlsHandshakeByte) {
        speakTls(socket)
        return
      }
      forget(socket)
      speakHttp(socket)
      socket.resume()
    })
  }

  function limit(socket: Socket, ms: number): void {
    clearTimeout(strangers.get(socket))
    strangers.set(
      socket,
      setTimeout(() => socket.destroy(), ms),
    )
  }

  function forget(socket: Socket): void {
    clearTimeout(strangers.get(socket))
    strangers.delete(socket)
  }

  function speakTls(socket: Socket): void {
    const name = nameOf(socket)
    handshakes.set(name, socket)
    socket.once('close', () => handshakes.delete(name))
    limit(socket, timeouts.handshakeMs) // Node's own limit starts anew with every byte
    socket.allowHalfOpen = false // as node:https has it: else a client that leaves in the handshake stays until the limit
    secure?.emit('connection', socket)
  }

  /** One server does the handshakes; what comes out of them is HTTP like any other. */
  async function prepareTls(tls: ListenerTls): Promise<void> {
    let pair = await tls.defaultCertificate()
    const server = createTlsServer({
      ...credentials(pair),
      ALPNProtocols: ['http/1.1'],
      SNICallback: (name, done) => {
        const context = tls.certificateFor?.(name) ?? Promise.resolve(undefined)
        context.then((found) => done(null, found), done)
      },
      ...(options.ticketKeys === undefined ? {} : { ticketKeys: options.ticketKeys }),
    })
    server.on('secureConnection', (socket) => {
      const raw = handshakes.get(nameOf(socket))
      if (raw !== undefined) forget(raw)
      speakHttp(socket)
    })
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      log.debug({ remote: socket.remoteAddress, code: error.code }, 'TLS handshake failed')
      if (plainHttpErrors.has(error.code)) handshakes.get(nameOf(socket))?.end(plainHttpAnswer)
      else socket.destroy()
    })
    secure = server
    refresh = setInterval(async () => {
      try {
        const newest = await tls.defaultCertificate()
        if (newest.certificate !== pair.certificate) server.setSecureContext(credentials(newest))
        pair = newest
      } catch (error) {
        log.warn({ err: error }, 'the certificate cannot be renewed; the old one stays in use')
      }
    }, certificateRefreshMs)
    refresh.unref()
  }

  function closeIdle(drainingForMs: number): void {
    http.closeIdleConnections()
    lane?.closeIdle(drainingForMs >= firstRequestMs)
    if (drainingForMs < firstRequestMs) return
    for (const socket of strangers.keys()) socket.destroy()
    for (const [socket, response] of responses) if (response === undefined) socket.destroy()
  }

  return {
    async listen(host, port) {
      if (options.plain !== 'only') await prepareTls(options.tls)
      startTimeouts(http)
      const opened = await openServers(host, port, accept)
      servers.push(...opened.servers)
      return { port: opened.port }
    },
    async drain(ms) {
      draining = true
      lane?.drain()
      clearInterval(refresh)
      clearInterval(looking)
      for (const server of servers) server.close()
      for (const response of responses.values()) if (response !== undefined) response.shouldKeepAlive = false
      const started = performance.now()
      while (sockets.size > 0 && performance.now() - started < ms) {
        closeIdle(performance.now() - started)
        await new Promise((resolve) => setTimeout(resolve, drainPollMs))
      }
      const cut = sockets.size
      http.closeAllConnections()
      http.close()
      for (const socket of sockets) socket.destroy()
      return cut
    },
    connections: () => sockets.size,
  }
}

/**
 * Calls back with the first byte, which stays to be read from the paused socket. Plain HTTP goes on at full speed; uploads
 * over TLS cost about a sixth more processor time than without the look, because Node then reads in smaller pieces.
 */
function whenItSpeaks(socket: Socket, then: (firstByte: number) => void): void {
  const giveUp = () => socket.destroy()
  socket.once('end', giveUp)
  socket.once('data', (chunk: Buffer) => {
    socket.removeListener('end', giveUp)
    socket.pause()
    socket.unshift(chunk)
    then(chunk[0] ?? 0)
  })
}

/** How OpenSSL says that what it read was an HTTP request, or one to a proxy. */
const plainHttpErrors = new Set<string | undefined>(['ERR_SSL_HTTP_REQUEST', 'ERR_SSL_HTTPS_PROXY_REQUEST'])

const plainHttpText = 'This port speaks HTTPS: write https:// in place of http://.\n'
const plainHttpAnswer = [
  'HTTP/1.1 400 Bad Request',
  'Content-Type: text/plain; charset=utf-8',
  `Content-Length: ${plainHttpText.length}`,
  'Connection: close',
  '',
  plainHttpText,
].join('\r\n')

/** Names a connection alike from the raw socket and from the one that TLS puts over it. */
function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function credentials({ certificate, key }: { certificate: string; key: string }) {
  // Without `ca`, Node would parse its whole list of authorities, which only a client needs.
  return { cert: certificate, key, ca: [], minVersion: 'TLSv1.2' as const }
}

/** The server never listens itself, and Node starts to watch the time limits of requests on "listening". */
function startTimeouts(http: Server): void {
  http.emit('listening')
}

/** The port that a listener would get: the one asked for, or a free one for 0. Throws `ListenError`. */
export async function probePort(host: string, port: number): Promise<number> {
  const { servers, port: found } = await openServers(host, port, (socket) => socket.destroy())
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return found
}

/** One server an address, all on the same port. */
async function openServers(host: string, port: number, accept: (socket: Socket) => void) {
  const [first = host, ...others] = host === '127.0.0.1' || host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  for (let attempt = 1; ; attempt++) {
    const server = await openServer(first, port, accept)
    const servers = [server]
    const bound = (server.address() as AddressInfo).port
    try {
      for (const other of others) servers.push(await openServer(other, bound, accept))
      return { servers, port: bound }
    } catch (error) {
      const { code } = error as ListenError
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') return { servers, port: bound } // a machine without IPv6
      for (const opened of servers) opened.close()
      const isChance = port === 0 && code === 'EADDRINUSE' && attempt < 10
      if (!isChance) throw error
    }
  }
}

function openServer(host: string, port: number, accept: (socket: Socket) => void): Promise<NetServer> {
  // As node:http has it: small answers go out at once, and a client that has ended its side is still answered.
  const server = createNetServer({ noDelay: true, keepAlive: true, allowHalfOpen: true }, accept)
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenErrorOf(error, host, port)))
    server.listen({ host, port }, () => resolve(server))
  })
}

function listenErrorOf(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const code = error.code ?? ''
  const sentences: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} on ${host} is taken by another program; choose another with --port`,
    EACCES: `port ${port} on ${host} needs more rights than this user has; choose one above 1023 with --port`,
    EADDRNOTAVAIL: `${host} is not an address of this machine; choose another with --host`,
    EAFNOSUPPORT: `this machine cannot use the address ${host}; choose another with --host`,
    ENOTFOUND: `the host name ${host} is not known; choose another with --host`,
    EAI_AGAIN: `the host name ${host} cannot be looked up; choose another with --host`,
  }
  const sentence = sentences[code]
  return sentence === undefined ? error : new ListenError(code, sentence, { cause: error })
}
