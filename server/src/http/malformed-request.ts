/** What a client gets that does not speak HTTP well enough for a handler to see a request. */
import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { jsonType } from './reply.ts'

const answers: Readonly<Record<string, { status: string; message: string }>> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    message: 'the request head is larger than 16 KiB',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: '413 Content Too Large',
    message: 'the chunk extensions are larger than 16 KiB',
  },
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', message: 'the request head did not arrive in time' },
}

const malformed = { status: '400 Bad Request', message: 'the request is not valid HTTP/1.1' }

/** How long the client may take to read the answer and to stop sending. */
const lingerMs = 1_000

/**
 * Answers what Node's parser or time limits found wrong (the server's "clientError"), then closes the connection.
 * response: the newest one on the connection. One that is still to be sent to an earlier, complete request goes first,
 * and nothing after it; one that has begun is cut, for nobody can tell an answer in the middle of another.
 */
export function answerMalformed(
  error: NodeJS.ErrnoException,
  socket: Socket,
  response: ServerResponse | undefined,
): void {
  if (!socket.writable || error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    socket.destroy()
    return
  }
  const isRunning = response !== undefined && !response.writableFinished && !response.destroyed
  if (isRunning && response.req.complete) {
    response.shouldKeepAlive = false
    response.once('close', () => socket.destroySoon())
    return
  }
  if (isRunning && response.headersSent) {
    socket.destroy()
    return
  }
  const { status, message } = answers[error.code ?? ''] ?? malformed
  const body = JSON.stringify({ errors: [{ code: 'UNSUPPORTED', message }] })
  const head = [
    `HTTP/1.1 ${status}`,
    `Content-Type: ${jsonType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-Content-Type-Options: nosniff',
    `X-Ms-Correlation-Request-Id: ${randomUUID()}`,
  ]
  socket.end(`${head.join('\r\n')}\r\nConnection: close\r\n\r\n${body}`)
  const close = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(close))
}
