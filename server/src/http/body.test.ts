import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { type BodyReader, bodyOfMessage } from './body.ts'

interface Sent {
  readonly chunks: readonly string[]
  readonly headers?: Record<string, string | number>
  /** What follows the chunks: the end, a broken connection, or silence. */
  readonly ending?: 'end' | 'break' | 'wait'
}

/** Sends one request and tells what the reader did with its body: the result, or the fault's code. */
async function reading(work: (reader: BodyReader) => Promise<unknown>, { chunks, headers = {}, ending = 'end' }: Sent) {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const outcome = once(server, 'request').then(async ([message, response]) => {
    try {
      return await work(bodyOfMessage(message, response, 50))
    } catch (error) {
      if (error instanceof Fault) return error.code
      throw error
    } finally {
      response.end()
    }
  })
  const sent = request({ host: '127.0.0.1', port, method: 'POST', agent: false, headers })
  sent.on('error', () => undefined)
  sent.on('response', (answer) => answer.resume())
  sent.flushHeaders()
  for (const chunk of chunks) sent.write(chunk)
  if (ending === 'end') sent.end()
  if (ending === 'break') sent.write('', () => setImmediate(() => sent.destroy()))
  try {
    return await outcome
  } finally {
    sent.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const text = (limit: number) => async (reader: BodyReader) => (await reader.read(limit)).toString()

describe('request body, read whole', () => {
  test('is what was sent, up to the limit', async () => {
    assert.equal(await reading(text(11), { chunks: ['hello ', 'world'] }), 'hello world')
    assert.equal(await reading(text(11), { chunks: ['hello world'], headers: { 'content-length': 11 } }), 'hello world')
    assert.equal(await reading(text(11), { chunks: [] }), '')
  })

  test('one byte more is bodyTooLarge, announced or not', async () => {
    assert.equal(await reading(text(10), { chunks: ['hello ', 'world'] }), 'bodyTooLarge')
    const headers = { 'content-length': 11 }
    assert.equal(await reading(text(10), { chunks: ['hello world'], headers }), 'bodyTooLarge')
  })

  test('what is announced too large is not waited for', async () => {
    assert.equal(
      await reading(text(10), { chunks: [], headers: { 'content-length': 11 }, ending: 'wait' }),
      'bodyTooLarge',
    )
  })

  test('one that does not come in time is bodyTooSlow', async () => {
    assert.equal(await reading(text(10), { chunks: ['hel'], ending: 'wait' }), 'bodyTooSlow')
  })

  test('one that breaks off is clientGone', async () => {
    assert.equal(await reading(text(10), { chunks: ['hel'], ending: 'break' }), 'clientGone')
    const headers = { 'content-length': 10 }
    assert.equal(await reading(text(10), { chunks: ['hel'], headers, ending: 'break' }), 'clientGone')
  })
})

describe('request body, as a stream', () => {
  test('comes as it was sent', async () => {
    const collect = async (reader: BodyReader) => {
      let found = ''
      for await (const chunk of reader.stream()) found += Buffer.from(chunk).toString()
      return found
    }
    assert.equal(await reading(collect, { chunks: ['hello ', 'world'] }), 'hello world')
  })

  test('tells how much arrived before the client went away', async () => {
    const broken = async (reader: BodyReader) => {
      let arrived = 0
      try {
        for await (const chunk of reader.stream()) arrived += chunk.length
      } catch (error) {
        assert.ok(error instanceof Fault && error.code === 'clientGone')
        return [arrived, (error as Fault<'clientGone'>).detail.bytesReceived]
      }
      return arrived
    }
    const headers = { 'content-length': 10 }
    assert.deepEqual(await reading(broken, { chunks: ['hello'], headers, ending: 'break' }), [5, 5])
  })

  test('can be left early without breaking the connection', async () => {
    const first = async (reader: BodyReader) => {
      for await (const chunk of reader.stream()) return chunk.length > 0
      return false
    }
    assert.equal(await reading(first, { chunks: ['hello', 'world'], ending: 'wait' }), true)
  })
})
