import assert from 'node:assert/strict'
import { createServer, get, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { Reply } from './reply.ts'
import { send } from './send.ts'

interface Answer {
  readonly message: IncomingMessage
  readonly body: string
  /** False when the connection was cut. */
  readonly whole: boolean
  /** What `send` said: bytes, or the error. */
  readonly sent: number | Error
}

async function answerTo(method: string, reply: Reply, common = {}): Promise<Answer> {
  let sent: Promise<number | Error> | undefined
  const server = createServer((message, response) => {
    sent = send(response, message.method ?? '', reply, common).catch((error: Error) => error)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const [message, body, whole] = await new Promise<[IncomingMessage, string, boolean]>((resolve, reject) => {
      request({ host: '127.0.0.1', port, method, agent: false }, (answer) => {
        let text = ''
        answer.on('data', (chunk) => (text += chunk))
        answer.on('error', () => undefined)
        answer.on('close', () => resolve([answer, text, answer.complete]))
      })
        .on('error', reject)
        .end()
    })
    return { message, body, whole, sent: (await sent) ?? new Error('not sent') }
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
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

describe('a reply', () => {
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
    for (const headers of [{ 'Content-Length': 5 }, {}]) {
      const { message, whole, sent } = await answerTo('GET', { status: 200, headers, body: failing() })
      assert.equal(message.statusCode, 200)
      assert.equal(whole, false)
      assert.match(String(sent), /disk on fire/)
    }
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
    let failure: Promise<unknown> = Promise.resolve()
    const server = createServer((_, response) => {
      failure = send(response, 'GET', { status: 200, body: endless() }, {}).catch((error: unknown) => error)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise<void>((resolve) => {
      get({ host: '127.0.0.1', port, agent: false }, (answer) => {
        answer.once('data', () => answer.destroy())
        answer.on('error', () => undefined)
        answer.once('close', resolve)
      })
    })
    const error = await failure
    const before = asked
    await new Promise((resolve) => setImmediate(resolve))
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    assert.ok(error instanceof Error)
    assert.equal(asked, before)
  })
})
