import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { suite, type TestContext, test } from 'node:test'
import { openConnection } from './connection.ts'

/** Answers the requests of one connection with these texts, each in the pieces that it is given in. */
async function connectTo(t: TestContext, ...answers: readonly (readonly string[])[]) {
  const requests: string[] = []
  const server = createServer((socket: Socket) => {
    let next = 0
    socket.setNoDelay(true).setEncoding('latin1')
    socket.on('error', () => undefined)
    socket.on('data', async (text: string) => {
      requests.push(text)
      for (const piece of answers[next++] ?? []) {
        socket.write(piece)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const connection = await openConnection((server.address() as AddressInfo).port, { accept: '*/*' })
  t.after(() => {
    connection.close()
    server.close()
  })
  return { connection, requests }
}

suite('a connection', () => {
  test('asks for one thing after another and counts the bytes of each body', async (t) => {
    const { connection, requests } = await connectTo(
      t,
      ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
      ['HTTP/1.1 200 OK\r\nContent-', 'Length: 10\r\n', '\r\n', '01234', '56789'],
      ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    )
    assert.equal(await connection.ask('GET', '/one'), 5)
    assert.equal(await connection.ask('GET', '/two'), 10)
    assert.equal(await connection.ask('GET', '/three'), 0)
    assert.match(requests[1] ?? '', /^GET \/two HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\naccept: \*\/\*\r\n\r\n$/)
  })

  test('does not wait for the body that an answer to HEAD announces', async (t) => {
    const answer = ['HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n']
    const { connection } = await connectTo(t, answer, answer)
    assert.equal(await connection.ask('HEAD', '/one'), 0)
    assert.equal(await connection.ask('HEAD', '/two'), 0)
  })

  test('refuses an answer that is no 200', async (t) => {
    const { connection } = await connectTo(t, ['HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n'])
    await assert.rejects(connection.ask('GET', '/'), /an answer was 401/)
    await assert.rejects(connection.ask('GET', '/'), /closed/)
  })

  test('refuses a body that is longer than announced, or of unknown length', async (t) => {
    const { connection } = await connectTo(t, ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc'])
    await assert.rejects(connection.ask('GET', '/'), /longer/)
    const other = await connectTo(t, ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'])
    await assert.rejects(other.connection.ask('GET', '/'), /no Content-Length/)
  })
})
