import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, createServer, get, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { FileBytes } from '../base/file-bytes.ts'
import { answerOf } from './answer.ts'
import { nodeTransport } from './node-transport.ts'
import { createPlainLane } from './plain-lane.ts'
import type { Reply } from './reply.ts'
import type { Transport } from './transport.ts'

interface Received {
  readonly message: IncomingMessage
  readonly body: string
  /** False when the connection was cut. */
  readonly whole: boolean
  /** What `send` gave: bytes, or the error. */
  readonly sent: number | Error
}

/** Keeps connections, as clients of registries do; one that says `Connection: close` is not for the lane. */
const agent = new Agent({ keepAlive: true })

type Send = (transport: Transport) => Promise<number>

/** A server whose requests come by one way or the other. */
const ways: Readonly<Record<string, (send: (transport: Transport) => Promise<void>) => Server>> = {
  'node:http': (serve) => createServer((message, response) => void serve(nodeTransport(message, response, 1000))),
  'the plain lane': (serve) => {
    const lane = createPlainLane({
      serve,
      handOver: (socket) => socket.destroy(new Error('handed over')),
      headersMs: 5_000,
      idleMs: 5_000,
      keepAliveMs: 5_000,
      smallBodyMs: 1_000,
    })
    return createNetServer({ allowHalfOpen: true, noDelay: true }, (socket) => lane.take(socket))
  },
}

/** respond: answers the one request that is made, and gives back what `send` gave. work: also gets the server's connections. */
async function withServer<T>(way: string, respond: Send, work: (port: number, sockets: Set<Socket>) => Promise<T>) {
  let sent: Promise<number | Error> = Promise.resolve(new Error('not sent'))
  const sockets = new Set<Socket>()
  const server = ways[way]!(async (transport) => {
    sent = respond(transport).catch((error: Error) => error)
    await sent
  })
  server.on('connection', (socket: Socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    return { result: await work((server.address() as AddressInfo).port, sockets), sent: await sent }
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

async function answerBy(way: string, method: string, reply: Reply, common = {}): Promise<Received> {
  const respond: Send = (transport) => transport.send(answerOf(transport.method, reply, common, {}))
  const { result, sent } = await withServer(way, respond, (port) => {
    return new Promise<[IncomingMessage, string, boolean]>((resolve, reject) => {
      request({ host: '127.0.0.1', port, method, agent }, (answer) => {
        let text = ''
        answer.on('data', (chunk) => (text += chunk))
        answer.on('error', () => undefined)
        answer.on('close', () => resolve([answer, text, answer.complete]))
      })
        .on('error', reject)
        .end()
    })
  })
  const [message, body, whole] = result
  return { message, body, whole, sent }
}

/** A file like a blob's: text, and the first byte and the one after the last that are wanted. */
async function inFile(text: string, start: number, end: number): Promise<FileBytes & { readonly file: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-http-'))
  const path = join(folder, 'file')
  await writeFile(path, text)
  const file = openSync(path, 'r')
  await rm(folder, { recursive: true })
  return {
    file,
    takeFile: () => ({ file, start, end }),
    async *[Symbol.asyncIterator]() {
      yield Buffer.from(text).subarray(start, end)
      closeSync(file)
    },
  }
}

/** One buffer for all chunks, as the blob stores have it. */
async function* reusing(...texts: string[]): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(1 << 20)
  for (const text of texts) yield buffer.subarray(0, buffer.write(text))
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('hel')
  throw new Error('disk on fire')
}

for (const way of Object.keys(ways))
  describe(`a reply over ${way}`, () => {
    const answerTo = (method: string, reply: Reply, common = {}) => answerBy(way, method, reply, common)

    test('a file, with its head before it, and is closed', async () => {
      const text = 'abcdefghijklmnopq'.repeat(200_000)
      const [start, end] = [7, text.length - 5]
      const file = await inFile(text, start, end)
      const reply = { status: 200, headers: { 'Content-Length': end - start }, body: file }
      const { message, body, whole, sent } = await answerBy(way, 'GET', reply)
      assert.equal(message.headers['content-length'], String(end - start))
      assert.ok(body === text.slice(start, end) && whole, 'other bytes than were sent')
      assert.equal(sent, end - start)
      assert.throws(() => fstatSync(file.file), /EBADF/)
    })

    test('a file for a client that has gone is closed', async () => {
      const file = await inFile('abc', 0, 3)
      const reply = { status: 200, headers: { 'Content-Length': 3 }, body: file }
      const [asked, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const respond: Send = async (transport) => {
        asked.resolve()
        await gone.promise
        return transport.send(answerOf('GET', reply, {}, {}))
      }
      const { sent } = await withServer(way, respond, async (port, sockets) => {
        const asking = get({ host: '127.0.0.1', port, agent }).on('error', () => undefined)
        await asked.promise
        const closed = Promise.all([...sockets].map((socket) => once(socket, 'close')))
        asking.destroy()
        await closed
        gone.resolve()
      })
      assert.ok(sent instanceof Error)
      assert.throws(() => fstatSync(file.file), /EBADF/)
    })

    test('of text gets its length, in bytes', async () => {
      const { message, body, sent } = await answerTo('GET', { status: 200, body: 'h\u00e9llo' })
      assert.deepEqual([message.headers['content-length'], body, sent], ['6', 'h\u00e9llo', 6])
    })

    test('without a body has the length 0', async () => {
      const { message, sent } = await answerTo('GET', { status: 202 })
      assert.deepEqual([message.statusCode, message.headers['content-length'], sent], [202, '0', 0])
    })

    for (const status of [204, 304]) {
      test(`${status} states no length`, async () => {
        const { message, body } = await answerTo('GET', { status, body: '' })
        assert.deepEqual(
          [message.headers['content-length'], message.headers['transfer-encoding'], body],
          [undefined, undefined, ''],
        )
      })
    }

    test("to HEAD has the GET's length and no body", async () => {
      const { message, body, sent } = await answerTo('HEAD', { status: 200, body: 'hello' })
      assert.deepEqual([message.headers['content-length'], body, sent], ['5', '', 0])
    })

    test('to HEAD does not open a stream', async () => {
      const stream: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]() {
          throw new Error('opened')
        },
      }
      const reply = { status: 200, headers: { 'Content-Length': 5 }, body: stream }
      const { message, sent } = await answerTo('HEAD', reply)
      assert.deepEqual([message.headers['content-length'], sent], ['5', 0])
    })

    test('of a stream is sent chunk by chunk, each before its buffer is used again', async () => {
      const texts = ['a'.repeat(300_000), 'b'.repeat(1_000_000), 'c']
      const reply = { status: 200, headers: { 'Content-Length': 1_300_001 }, body: reusing(...texts) }
      const { body, whole, sent } = await answerTo('GET', reply)
      assert.equal(body, texts.join(''))
      assert.deepEqual([whole, sent], [true, 1_300_001])
    })

    test('whose stream fails is cut off, so that it does not look whole', async () => {
      const reply = { status: 200, headers: { 'Content-Length': 5 }, body: failing() }
      const { message, whole, sent } = await answerTo('GET', reply)
      assert.equal(message.statusCode, 200)
      assert.equal(whole, false)
      assert.match(String(sent), /disk on fire/)
    })

    test('own headers win over common ones; a list becomes lines', async () => {
      const { message } = await answerTo(
        'GET',
        { status: 200, headers: { 'X-A': 'own', 'X-List': ['1', '2'] } },
        { 'X-A': 'common', 'X-B': 'common' },
      )
      assert.equal(message.headers['x-a'], 'own')
      assert.equal(message.headers['x-b'], 'common')
      assert.deepEqual(message.headersDistinct['x-list'], ['1', '2'])
    })

    test('to a client that is gone stops asking its source', async () => {
      let asked = 0
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (;;) {
          asked++
          yield new Uint8Array(1 << 20)
        }
      }
      const respond: Send = (transport) => transport.send({ status: 200, headers: [], body: endless() })
      const { sent: error } = await withServer(way, respond, (port) => {
        return new Promise<void>((resolve) => {
          get({ host: '127.0.0.1', port, agent }, (answer) => {
            answer.once('data', () => answer.destroy())
            answer.on('error', () => undefined)
            answer.once('close', resolve)
          })
        })
      })
      const before = asked
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(error instanceof Error)
      assert.equal(asked, before)
    })
  })

test('a stream without a length is no reply: its end could not be told from a cut', () => {
  assert.throws(() => answerOf('GET', { status: 200, body: failing() }, {}, {}), /states no length/)
})
