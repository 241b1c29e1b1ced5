/** Writes a reply to the connection. */
import type { ServerResponse } from 'node:http'
import type { Reply, ReplyHeaders } from './reply.ts'

/**
 * common: headers that every answer of the plane carries; the reply's own come after them and win by name.
 * Returns the number of body bytes sent. Rejects when the body's source fails or the client goes away: the connection is
 * cut then, because a status has been sent already and a short body must not look whole.
 */
export async function send(
  response: ServerResponse,
  method: string,
  reply: Reply,
  common: ReplyHeaders,
): Promise<number> {
  const body = reply.body ?? ''
  const isStream = typeof body === 'object' && Symbol.asyncIterator in body
  const headers: ReplyHeaders = { ...common, ...reply.headers }
  if (!isStream) {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    const bodiless = reply.status === 204 || reply.status === 304
    writeHead(
      response,
      reply.status,
      bodiless || 'Content-Length' in headers ? headers : { ...headers, 'Content-Length': length },
    )
    if (method === 'HEAD' || bodiless || length === 0) {
      response.end()
      return 0
    }
    response.end(body)
    return length
  }
  writeHead(response, reply.status, headers)
  if (method === 'HEAD') {
    response.end()
    return 0
  }
  return sendStream(response, body)
}

function writeHead(response: ServerResponse, status: number, headers: ReplyHeaders): void {
  const raw: string[] = []
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === 'object') for (const line of value) raw.push(name, line)
    else if (value !== undefined) raw.push(name, String(value))
  }
  response.writeHead(status, raw)
}

/** Waits for each chunk to be handed over before it asks for the next, because the source reuses its buffers. */
async function sendStream(response: ServerResponse, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let sent = 0
  try {
    for await (const chunk of chunks) {
      await written(response, chunk)
      sent += chunk.length
    }
  } catch (error) {
    response.destroy()
    throw error
  }
  response.end()
  return sent
}

function written(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) {
      reject(new Error('the client closed the connection'))
      return
    }
    const closed = () => reject(new Error('the client closed the connection'))
    response.once('close', closed)
    response.write(chunk, (error) => {
      response.removeListener('close', closed)
      if (error) reject(error)
      else resolve()
    })
  })
}
