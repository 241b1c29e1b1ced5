/** Requests and answers over `node:http`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { plainAddress } from './authority.ts'
import { bodyOfMessage, lingerMs } from './body.ts'
import { sendStream } from './file-sender.ts'
import type { Answer, Transport } from './transport.ts'
import { writeChunk } from './write-chunk.ts'

/** How often a connection that waits for us is kept from counting as idle. */
const awakeMs = 20_000

export function nodeTransport(
  message: IncomingMessage,
  response: ServerResponse,
  smallBodyTimeoutMs: number,
): Transport {
  const { headers, socket } = message
  return {
    method: message.method ?? 'GET',
    target: message.url ?? '/',
    headers,
    headerValues: (name) => message.headersDistinct[name] ?? [],
    hostLines: countHosts(message.rawHeaders),
    peerAddress: plainAddress(socket.remoteAddress ?? ''),
    encrypted: (socket as TLSSocket).encrypted === true,
    body: bodyOfMessage(message, response, smallBodyTimeoutMs),
    awake: (work) => whileAwake(message, work),
    async send(answer) {
      try {
        return await send(response, answer)
      } finally {
        linger(message)
      }
    },
  }
}

async function send(response: ServerResponse, { status, headers, body }: Answer): Promise<number> {
  response.writeHead(status, headers as string[])
  if (body === undefined) {
    response.end()
    return 0
  }
  if (typeof body === 'object' && Symbol.asyncIterator in body) return sendBody(response, body)
  response.end(body)
  return Buffer.byteLength(body)
}

async function sendBody(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  const { socket } = response // none while an earlier answer is on its way
  const plain = socket === null || (socket as TLSSocket).encrypted ? undefined : socket
  try {
    const sent = await sendStream(plain, chunks, (chunk) => writeChunk(response, chunk))
    response.end()
    return sent
  } catch (error) {
    response.destroy()
    throw error
  }
}

/** rawHeaders: names and values in turn. */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts
}

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
