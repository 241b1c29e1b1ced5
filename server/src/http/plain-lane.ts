/**
 * A short way for plain requests, which are nearly all that a registry gets: without a body, or with one of announced length. The
 * head is read and the answer written right here, for about half of what `node:http` costs. At the first request that is not of the
 * plainest form the connection, with that request's bytes unread, passes to `node:http` for good: so nothing is understood here
 * that could be understood in two ways.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { ArrivingBody } from './arriving-body.ts'
import { plainAddress } from './authority.ts'
import { type BodyReader, bodyReader, lingerMs, noBody } from './body.ts'
import { sendStream } from './file-sender.ts'
import { type HeaderFields, parseRequestHead, type RequestHead } from './request-head.ts'
import type { Answer, Transport } from './transport.ts'
import { clientGone, writeChunk } from './write-chunk.ts'

export interface PlainLane {
  /** Serves the connection until it ends or is handed over. */
  take(socket: Socket): void
  /** From now on answers say `Connection: close`. */
  drain(): void
  /** Closes connections that are between two requests; fresh: also those that have not sent any yet. */
  closeIdle(fresh: boolean): void
  /**
   * To be called every `lookMs`. When connections between two requests take too much memory, those that have been silent for
   * two looks are closed, the longest silent first: RFC 9112 §9.5 allows it, and their clients come again.
   */
  closeLongIdle(): void
}

export interface PlainLaneOptions {
  /** Resolves when the request has been answered. */
  readonly serve: (transport: Transport) => Promise<void>
  /** Takes a paused socket whose next bytes are a request that nobody has looked at. */
  readonly handOver: (socket: Socket) => void
  /** Silence before the first request, within one, and between two. */
  readonly headersMs: number
  readonly idleMs: number
  readonly keepAliveMs: number
  /** For a body that is read whole. */
  readonly smallBodyMs: number
  /** What connections between two requests may take together. */
  readonly restingBytes?: number
}

/** Between two calls of `closeLongIdle`. */
export const lookMs = 10_000
const longIdleLooks = 2
const defaultRestingBytes = 16 * 1024 * 1024
/** What one takes, nearly all of it in OpenSSL and Node. */
const encryptedBytes = 64 * 1024
const plainBytes = 8 * 1024

/** Answers above this are written in two pieces instead of being copied behind their head. */
const largestJoined = 64 * 1024

export function createPlainLane(options: PlainLaneOptions): PlainLane {
  const lane: Lane = { ...options, connections: new Set(), answering: [], draining: false }
  return {
    take: (socket) => void new Connection(lane, socket),
    drain() {
      lane.draining = true
    },
    closeIdle(fresh) {
      for (const connection of lane.connections) connection.closeIfIdle(fresh)
    },
    closeLongIdle: () => closeLongIdle(lane.connections, options.restingBytes ?? defaultRestingBytes),
  }
}

function closeLongIdle(connections: Iterable<Connection>, restingBytes: number): void {
  const resting = [...connections].filter((connection) => connection.lookAtRest())
  let bytes = resting.reduce((sum, { encrypted }) => sum + bytesOf(encrypted), 0)
  if (bytes <= restingBytes) return
  for (const connection of resting.sort((one, other) => other.looksAtRest - one.looksAtRest)) {
    if (bytes <= restingBytes || connection.looksAtRest < longIdleLooks) return
    bytes -= bytesOf(connection.encrypted)
    connection.closeIfIdle(false)
  }
}

const bytesOf = (encrypted: boolean): number => (encrypted ? encryptedBytes : plainBytes)

interface Lane extends PlainLaneOptions {
  readonly connections: Set<Connection>
  /** Those that have an answer to write at the end of this turn of the event loop. */
  readonly answering: Connection[]
  draining: boolean
}

class Connection {
  readonly #lane: Lane
  readonly #socket: Socket
  readonly #peerAddress: string
  readonly #encrypted: boolean
  #fresh = true
  #busy = false
  /** Of the request that is being answered; absent where it has none. */
  #body: ArrivingBody | undefined
  /** Whether a handler is at work that may take longer than a client may be silent. */
  #awake = false
  /** To be written at the end of the turn. */
  #answer: Buffer | undefined
  /** What arrived while a request was being answered. */
  #waiting: Buffer | undefined
  #ended = false
  #looksAtRest = 0
  #fields: HeaderFields | undefined

  constructor(lane: Lane, socket: Socket) {
    this.#lane = lane
    this.#socket = socket
    this.#peerAddress = plainAddress(socket.remoteAddress ?? '')
    this.#encrypted = (socket as TLSSocket).encrypted === true
    lane.connections.add(this)
    socket.setTimeout(lane.headersMs)
    socket.on('data', this.#read)
    socket.on('end', this.#end)
    socket.on('error', ignore) // "close" follows, and whoever is sending hears of it
    socket.on('timeout', this.#cut)
    socket.on('close', this.#forget)
  }

  get peerAddress(): string {
    return this.#peerAddress
  }

  get encrypted(): boolean {
    return this.#encrypted
  }

  get smallBodyMs(): number {
    return this.#lane.smallBodyMs
  }

  /** How often it was seen between the same two requests. */
  get looksAtRest(): number {
    return this.#looksAtRest
  }

  /** Whether it is between two requests. */
  lookAtRest(): boolean {
    const rests = this.#isIdle(false)
    if (rests) this.#looksAtRest++
    return rests
  }

  closeIfIdle(fresh: boolean): void {
    if (this.#isIdle(fresh)) this.#socket.destroy()
  }

  /** fresh: also before the first request. */
  #isIdle(fresh: boolean): boolean {
    return !this.#busy && this.#answer === undefined && (fresh || !this.#fresh)
  }

  readonly #forget = () => {
    this.#lane.connections.delete(this)
    this.#body?.end()
  }

  readonly #cut = () => {
    this.#socket.destroy()
  }

  readonly #end = () => {
    this.#ended = true
    this.#body?.end()
    if (!this.#busy) this.#finish()
  }

  readonly #read = (chunk: Buffer) => {
    const next = this.#body === undefined || this.#body.complete ? chunk : this.#body.take(chunk)
    if (this.#awake && this.#body?.complete) this.#socket.setTimeout(0)
    if (next === undefined) return
    if (this.#busy) {
      // The next request came before the last was answered. It waits, and with it whatever else the client would send.
      this.#socket.pause()
      this.#waiting = this.#waiting === undefined ? next : Buffer.concat([this.#waiting, next])
      return
    }
    const head = parseRequestHead(chunk, this.#fields)
    if (head === undefined) this.#leave(chunk)
    else void this.#serve(head)
  }

  #leave(bytes: Buffer): void {
    const socket = this.#socket
    this.writeAnswer()
    this.#forget()
    socket.off('data', this.#read)
    socket.off('end', this.#end)
    socket.off('error', ignore)
    socket.off('timeout', this.#cut)
    socket.off('close', this.#forget)
    socket.setTimeout(0)
    socket.pause()
    socket.unshift(bytes)
    this.#lane.handOver(socket)
  }

  async #serve(head: RequestHead): Promise<void> {
    this.#busy = true
    this.#fresh = false
    this.#looksAtRest = 0
    this.#fields = head.fields
    const { idleMs, keepAliveMs, serve } = this.#lane
    this.#socket.setTimeout(idleMs)
    const { bodyBytes = 0 } = head.fields
    if (bodyBytes > 0) {
      this.#body = new ArrivingBody(this.#socket, bodyBytes)
      this.#body.take(head.rest)
    }
    await serve(new Exchange(this, head, this.#body))
    await this.#leaveBody()
    if (this.#socket.writableNeedDrain) await this.#drained()
    this.#busy = false
    if (this.#socket.destroyed) return
    if (this.#ended || this.#lane.draining) {
      this.#finish()
      this.#socket.setTimeout(idleMs)
      return
    }
    this.#socket.setTimeout(keepAliveMs)
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    this.#socket.resume()
    this.#read(waiting)
  }

  /**
   * After an early refusal: closing at once, or taking the rest for the next request, would hide the refusal from a client in the
   * middle of its upload.
   */
  async #leaveBody(): Promise<void> {
    const body = this.#body
    if (body === undefined) return
    if (!body.complete && !(await body.drop(lingerMs)) && !this.#ended) this.#socket.destroy()
    this.#body = undefined
  }

  /** Once the body has arrived it is not the client's silence but our work, such as hashing a huge blob again, that takes the time. */
  async awake<T>(work: () => T | Promise<T>): Promise<T> {
    this.#awake = true
    if (this.#body?.complete !== false) this.#socket.setTimeout(0)
    try {
      return await work()
    } finally {
      this.#awake = false
      this.#socket.setTimeout(this.#lane.idleMs)
    }
  }

  /** A client that reads no answers gets no further ones. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done)
        this.#socket.off('close', done)
        resolve()
      }
      this.#socket.on('drain', done)
      this.#socket.on('close', done)
    })
  }

  async send(answer: Answer): Promise<number> {
    const { body } = answer
    const head = this.#headOf(answer)
    // Also when the client has gone: what the stream holds open is closed by whoever reads it.
    if (typeof body === 'object' && Symbol.asyncIterator in body) return this.#sendStream(head, body)
    if (this.#socket.destroyed) throw clientGone()
    if (body === undefined) {
      this.#writeSoon(Buffer.from(head, 'latin1'))
      return 0
    }
    const length = Buffer.byteLength(body)
    if (length > largestJoined) {
      this.writeAnswer()
      this.#socket.cork()
      this.#socket.write(head, 'latin1')
      this.#socket.write(body)
      this.#socket.uncork()
      return length
    }
    const joined = Buffer.allocUnsafe(head.length + length)
    joined.write(head, 0, 'latin1')
    if (typeof body === 'string') joined.write(body, head.length, 'utf8')
    else joined.set(body, head.length)
    this.#writeSoon(joined)
    return length
  }

  /**
   * Answers of one turn of the event loop are written together at its end: whoever gets one wakes up for it, and on a busy machine
   * takes the processor away from us in the middle of the others.
   */
  #writeSoon(bytes: Buffer): void {
    const { answering } = this.#lane
    this.writeAnswer() // to the request before
    this.#answer = bytes
    if (answering.push(this) === 1) setImmediate(writeAnswers, answering)
  }

  writeAnswer(): void {
    const bytes = this.#answer
    if (bytes === undefined) return
    this.#answer = undefined
    this.#socket.write(bytes)
  }

  #finish(): void {
    this.writeAnswer()
    this.#socket.end()
  }

  async #sendStream(head: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    try {
      this.writeAnswer()
      this.#socket.cork() // the head goes with the first bytes
      this.#socket.write(head, 'latin1')
      process.nextTick(() => this.#socket.uncork())
      const plain = this.#encrypted ? undefined : this.#socket
      return await sendStream(plain, chunks, (chunk) => writeChunk(this.#socket, chunk))
    } catch (error) {
      this.#socket.destroy()
      throw error
    }
  }

  #headOf({ status, headers }: Answer): string {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`
    for (let i = 0; i < headers.length; i += 2) {
      const value = headers[i + 1]!
      // As node:http has it: what could end the line early must not leave this process.
      if (notFieldContent.test(value))
        throw new Error(`the header ${headers[i]} holds a character that it may not hold`)
      head += `${headers[i]}: ${value}\r\n`
    }
    return head + this.#connectionHeaders()
  }

  #connectionHeaders(): string {
    const closes = this.#lane.draining || this.#ended
    const connection = closes
      ? 'close'
      : `keep-alive\r\nKeep-Alive: timeout=${Math.floor(this.#lane.keepAliveMs / 1000)}`
    return `Date: ${dateNow()}\r\nConnection: ${connection}\r\n\r\n`
  }
}

function writeAnswers(answering: Connection[]): void {
  for (const connection of answering.splice(0)) connection.writeAnswer()
}

/** Whatever RFC 9110 §5.5 does not allow in a field's value. */
const notFieldContent = /[^\t\x20-\x7e\x80-\xff]/

class Exchange implements Transport {
  readonly method: string
  readonly target: string
  readonly headers: HeaderFields['headers']
  readonly body: BodyReader
  readonly #connection: Connection
  readonly #accept: readonly string[]

  constructor(connection: Connection, head: RequestHead, body: ArrivingBody | undefined) {
    this.#connection = connection
    this.method = head.method
    this.target = head.target
    this.headers = head.fields.headers
    this.#accept = head.fields.accept
    this.body = body === undefined ? noBody : bodyReader(() => body.arriving(), body.length, connection.smallBodyMs)
  }

  get hostLines(): number {
    return 'host' in this.headers ? 1 : 0
  }

  get peerAddress(): string {
    return this.#connection.peerAddress
  }

  get encrypted(): boolean {
    return this.#connection.encrypted
  }

  headerValues(name: string): readonly string[] {
    if (name === 'accept') return this.#accept
    const value = this.headers[name]
    return value === undefined ? [] : [value]
  }

  awake<T>(work: () => T | Promise<T>): T | Promise<T> {
    return this.method === 'GET' || this.method === 'HEAD' ? work() : this.#connection.awake(work)
  }

  send(answer: Answer): Promise<number> {
    return this.#connection.send(answer)
  }
}

function ignore(): void {}

let date = ''
let dateUntil = 0

/** RFC 9110 §6.6.1; made once a second. */
function dateNow(): string {
  const now = Date.now()
  if (now >= dateUntil) {
    date = new Date(now).toUTCString()
    dateUntil = now - (now % 1000) + 1000
  }
  return date
}
