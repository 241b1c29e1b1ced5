/** Reads a request's body with back-pressure, and names what can go wrong on the way. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Fault } from '../base/fault.ts'

export interface BodyReader {
  /** A chunk is valid only until the next one is asked for: its memory is given back at once. */
  stream(): AsyncIterable<Uint8Array>
  read(limitBytes: number): Promise<Buffer>
}

/** How long a refused request's body is still read, so that the client gets to see the refusal. */
export const lingerMs = 30_000

/** How long a body that is read whole may take to arrive. */
export const smallBodyMs = 60_000

/**
 * response: gets `100 Continue` when the first byte is asked for, so that a refused request need not send its body.
 * Stopping early leaves the connection open, so that a reply can still be sent.
 */
export function bodyOfMessage(
  message: IncomingMessage,
  response: ServerResponse,
  smallBodyTimeoutMs: number,
): BodyReader {
  async function* arriving(): AsyncGenerator<Buffer, void, undefined> {
    invite(message, response)
    let bytesReceived = 0
    try {
      for await (const chunk of message.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        bytesReceived += chunk.length
        yield chunk
      }
    } catch (error) {
      throw new Fault('clientGone', { bytesReceived }, { cause: error })
    }
    if (!message.complete) throw new Fault('clientGone', { bytesReceived })
  }

  return bodyReader(arriving, Number(message.headers['content-length'] ?? 0), smallBodyTimeoutMs)
}

/**
 * announcedBytes: 0 where nothing is announced. smallBodyTimeoutMs: for a body that is read whole; streams are cut only when they
 * stand still, which is the listener's business.
 */
export function bodyReader(
  arriving: () => AsyncIterable<Buffer>,
  announcedBytes: number,
  smallBodyTimeoutMs: number,
): BodyReader {
  async function* stream(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of arriving()) {
      yield chunk
      release(chunk)
    }
  }

  async function read(limitBytes: number): Promise<Buffer> {
    if (announcedBytes > limitBytes) throw new Fault('bodyTooLarge', { limitBytes })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Fault('bodyTooSlow', { timeoutMs: smallBodyTimeoutMs })), smallBodyTimeoutMs)
    })
    try {
      return await Promise.race([collect(arriving(), limitBytes), late])
    } finally {
      clearTimeout(timer)
    }
  }

  return { stream, read }
}

/** For a request that has no body. */
export const noBody: BodyReader = {
  async *stream() {},
  read: async () => Buffer.alloc(0),
}

async function collect(chunks: AsyncIterable<Uint8Array>, limitBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > limitBytes) throw new Fault('bodyTooLarge', { limitBytes })
    parts.push(chunk)
  }
  return Buffer.concat(parts, size)
}

/**
 * Frees a chunk's memory without waiting for the garbage collector, which sees only the small object in front of it: an
 * upload would pile up some 80 MB before it ran. Only for a chunk that has its memory to itself.
 */
function release(chunk: Buffer): void {
  const { buffer } = chunk
  if (buffer instanceof ArrayBuffer && chunk.byteLength === buffer.byteLength) buffer.transfer(0)
}

/** Answers `Expect: 100-continue` (RFC 9110 §10.1.1), once, and only while nothing else has been said. */
function invite(message: IncomingMessage, response: ServerResponse): void {
  if (message.headers.expect?.toLowerCase() === '100-continue' && !response.headersSent) response.writeContinue()
}
