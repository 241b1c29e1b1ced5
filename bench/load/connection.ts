/**
 * One kept connection that asks for one thing after another and throws the bodies away, with one read buffer for all of
 * them: a client that costs less than the server that it measures. Understands answers with a Content-Length only.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Connection {
  /** Resolves with the bytes of the body when the last one is there. Rejects unless the status is 200. */
  ask(method: 'GET' | 'HEAD', path: string): Promise<number>
  close(): void
}

const bufferBytes = 512 * 1024
const mostHeadBytes = 64 * 1024

interface Waiting {
  readonly isHead: boolean
  readonly resolve: (bytes: number) => void
  readonly reject: (error: Error) => void
}

export async function openConnection(port: number, headers: Readonly<Record<string, string>>): Promise<Connection> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const tail = ` HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${lines.join('')}\r\n`
  let waiting: Waiting | undefined
  let head = Buffer.alloc(0)
  /** Of the body; undefined while the head is not complete. */
  let missing: number | undefined
  let length = 0

  function fail(error: Error): void {
    waiting?.reject(error)
    waiting = undefined
    socket.destroy()
  }

  function finish(): void {
    const done = waiting
    waiting = undefined
    missing = undefined
    done?.resolve(length)
  }

  function readBody(count: number): void {
    missing = (missing ?? 0) - count
    if (missing < 0) fail(new Error('the answer is longer than it says'))
    else if (missing === 0) finish()
  }

  function readHead(text: string, bodyBytes: number): void {
    const status = Number(text.slice(9, 12))
    const stated = waiting?.isHead ? '0' : /\r\ncontent-length: *(\d+)/i.exec(text)?.[1]
    if (status !== 200) fail(new Error(`an answer was ${status}`))
    else if (stated === undefined) fail(new Error('an answer has no Content-Length'))
    else {
      length = Number(stated)
      missing = length
      readBody(bodyBytes)
    }
  }

  function read(bytes: Buffer): void {
    if (missing !== undefined) {
      readBody(bytes.length)
      return
    }
    head = head.length === 0 ? Buffer.from(bytes) : Buffer.concat([head, bytes])
    const end = head.indexOf('\r\n\r\n')
    if (end >= 0) {
      const all = head
      head = Buffer.alloc(0)
      readHead(all.toString('latin1', 0, end), all.length - end - 4)
    } else if (head.length > mostHeadBytes) fail(new Error('the head of the answer does not end'))
  }

  const socket: Socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(bufferBytes),
      callback: (count, buffer) => {
        read(Buffer.from(buffer.buffer, buffer.byteOffset, count))
        return true
      },
    },
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the connection was closed')))
  await once(socket, 'connect')
  return {
    ask: (method, path) =>
      new Promise((resolve, reject) => {
        if (waiting !== undefined) return reject(new Error('one at a time'))
        if (socket.destroyed) return reject(new Error('the connection was closed'))
        waiting = { isHead: method === 'HEAD', resolve, reject }
        socket.write(`${method} ${path}${tail}`)
      }),
    close: () => socket.destroy(),
  }
}
