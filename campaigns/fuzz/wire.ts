/** HTTP/1.1 by hand: sends any bytes and reads what comes back, without a client library that would mend either. */
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Endpoint {
  readonly port: number
  /** PEM of the authority to trust; present for TLS. */
  readonly ca?: string
  readonly from?: string
}

export interface Answer {
  readonly status: number
  readonly reason: string
  /** In order, names in lower case. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

export interface Exchange {
  /** Final answers in order; interim ones (1xx) are left out. */
  readonly answers: readonly Answer[]
  /** What is not HTTP, or not whole. */
  readonly trouble?: string
  /** The server ended the connection. */
  readonly closed: boolean
  /** Every byte received. */
  readonly received: Buffer
}

export interface ExchangeOptions {
  readonly method: string
  readonly hangUpMs?: number | undefined
  readonly untilClosed?: boolean | undefined
  /** How long to wait for the server altogether. */
  readonly patienceMs?: number
}

export const headerOf = (answer: Answer, name: string): string | undefined =>
  answer.headers.find(([known]) => known === name.toLowerCase())?.[1]

/** Sends the parts one after another (a number: a pause), then waits for one whole answer, or for the end. */
export async function exchange(
  endpoint: Endpoint,
  send: readonly (Buffer | number)[],
  { method, hangUpMs, untilClosed = false, patienceMs = 20_000 }: ExchangeOptions,
): Promise<Exchange> {
  const socket = open(endpoint)
  const received: Buffer[] = []
  let closed = false
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  let parsed = readAnswers([], method, false)
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk)
    if (untilClosed) return
    parsed = readAnswers(received, method, false)
    if (parsed.answers.length > 0 || parsed.trouble !== undefined) finish()
  })
  socket.on('error', () => undefined) // a reset is one way for the server to end it
  socket.on('close', () => {
    closed = true
    finish()
  })
  let late = false
  const timer = setTimeout(() => {
    late = true
    finish()
  }, patienceMs)
  for (const part of send) {
    if (closed) break
    if (typeof part === 'number') await Promise.race([pause(part), finished])
    else await written(socket, part)
  }
  if (hangUpMs !== undefined) await Promise.race([pause(hangUpMs), finished])
  else await finished
  clearTimeout(timer)
  socket.destroy()
  const { answers, trouble } = readAnswers(received, method, closed)
  const problem = trouble ?? (late ? `no end after ${patienceMs} ms` : undefined)
  return { answers, closed, received: Buffer.concat(received), ...(problem === undefined ? {} : { trouble: problem }) }
}

function open({ port, ca, from }: Endpoint): Socket {
  const options = { host: '127.0.0.1', port, ...(from === undefined ? {} : { localAddress: from }) }
  const socket =
    ca === undefined
      ? connectPlain(options)
      : connectTls({ ...options, ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] })
  return socket.setNoDelay(true)
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Resolves also when the other side is gone: what counts is what it said. */
function written(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.removeListener('close', done)
      resolve()
    }
    socket.once('close', done)
    socket.write(bytes, done)
  })
}

interface Read {
  readonly answers: readonly Answer[]
  readonly trouble?: string
}

const statusLine = /^HTTP\/1\.1 (\d{3}) ([\t\x20-\x7e]*)$/
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e]*)$/

/** method: of the first request; the others, if any, are taken for GET. ended: nothing more will come. */
export function readAnswers(received: readonly Buffer[], method: string, ended: boolean): Read {
  const bytes = received.length === 1 ? received[0]! : Buffer.concat(received)
  const answers: Answer[] = []
  let at = 0
  while (at < bytes.length) {
    const headEnd = bytes.indexOf('\r\n\r\n', at)
    if (headEnd < 0) return ended ? { answers, trouble: 'the head is cut off' } : { answers }
    const [first = '', ...lines] = bytes.toString('latin1', at, headEnd).split('\r\n')
    const status = statusLine.exec(first)
    if (status === null) return { answers, trouble: `not a status line: ${JSON.stringify(first.slice(0, 200))}` }
    const headers: [string, string][] = []
    for (const line of lines) {
      const found = headerLine.exec(line)
      if (found === null) return { answers, trouble: `not a header line: ${JSON.stringify(line.slice(0, 200))}` }
      headers.push([found[1]!.toLowerCase(), found[2]!])
    }
    const code = Number(status[1])
    at = headEnd + 4
    if (code < 200) continue
    const framed = readBody(bytes, at, headers, code, answers.length === 0 ? method : 'GET', ended)
    if (framed === undefined) return ended ? { answers, trouble: 'the body is cut off' } : { answers }
    if (typeof framed === 'string') return { answers, trouble: framed }
    answers.push({ status: code, reason: status[2]!, headers, body: framed.body })
    at = framed.end
  }
  return { answers }
}

/** Undefined: not all there yet. A string: the framing is wrong. */
function readBody(
  bytes: Buffer,
  at: number,
  headers: readonly [string, string][],
  status: number,
  method: string,
  ended: boolean,
): { body: Buffer; end: number } | string | undefined {
  const lengths = headers.filter(([name]) => name === 'content-length').map(([, value]) => value)
  const encodings = headers.filter(([name]) => name === 'transfer-encoding').map(([, value]) => value)
  if (lengths.length > 1) return `${lengths.length} Content-Length headers`
  if (lengths.length > 0 && encodings.length > 0) return 'Content-Length and Transfer-Encoding together'
  if (method === 'HEAD' || status === 204 || status === 304) return { body: Buffer.alloc(0), end: at }
  if (lengths.length > 0) {
    if (!/^\d{1,15}$/.test(lengths[0]!)) return `Content-Length ${lengths[0]}`
    const end = at + Number(lengths[0])
    return end > bytes.length ? undefined : { body: bytes.subarray(at, end), end }
  }
  if (encodings.length === 0) return ended ? { body: bytes.subarray(at), end: bytes.length } : undefined
  if (encodings.join(',').toLowerCase() !== 'chunked') return `Transfer-Encoding ${encodings.join(',')}`
  const parts: Buffer[] = []
  for (let position = at; ; ) {
    const lineEnd = bytes.indexOf('\r\n', position)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.toString('latin1', position, lineEnd), 16)
    if (!Number.isSafeInteger(size)) return 'a chunk without a size'
    const start = lineEnd + 2
    if (start + size + 2 > bytes.length) return undefined
    parts.push(bytes.subarray(start, start + size))
    position = start + size + 2
    if (size === 0) return { body: Buffer.concat(parts), end: position }
  }
}
