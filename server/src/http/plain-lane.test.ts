/** The lane is right when nobody can tell that it is there: the same bytes get the same answers with it and without. */
import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { Fault } from '../base/fault.ts'
import { answerOf } from './answer.ts'
import { createListener, type Listener } from './listener.ts'
import { nodeTransport } from './node-transport.ts'
import { createPlainLane } from './plain-lane.ts'
import type { Transport } from './transport.ts'

interface Running extends AsyncDisposable {
  readonly port: number
  readonly listener: Listener
  /** How many requests came by the lane. */
  readonly byLane: () => number
}

/** Answers with what it has understood of the request. */
async function echo(transport: Transport): Promise<void> {
  const { method, target, headers, hostLines, encrypted } = transport
  const body = (await transport.body.read(1 << 20)).toString('latin1')
  const seen = {
    method,
    target,
    headers: { ...headers },
    hostLines,
    encrypted,
    accept: transport.headerValues('accept'),
    body,
  }
  await transport.send(answerOf(method, { status: 200, body: JSON.stringify(seen) }, {}, {}))
}

interface How {
  readonly lane?: boolean
  readonly keepAliveMs?: number
  readonly idleMs?: number
  readonly answer?: (transport: Transport) => Promise<void>
}

async function start({ lane = true, keepAliveMs = 5_000, idleMs = 5_000, answer = echo }: How = {}): Promise<Running> {
  let byLane = 0
  const serve = (transport: Transport) => {
    byLane++
    return answer(transport)
  }
  const listener = createListener({
    plain: 'only',
    handler: (message, response) => void answer(nodeTransport(message, response, 1_000)),
    timeouts: { keepAliveMs, idleMs, headersMs: 5_000 },
    ...(lane ? { serve } : {}),
  })
  const { port } = await listener.listen('127.0.0.1', 0)
  return { port, listener, byLane: () => byLane, [Symbol.asyncDispose]: async () => void (await listener.drain(0)) }
}

interface Talk {
  readonly socket: Socket
  received(): string
  /** Resolves when what was received matches. */
  until(pattern: RegExp): Promise<string>
  readonly closed: Promise<void>
}

function talk(port: number): Talk {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  let look = () => {}
  socket.setEncoding('latin1')
  socket.on('data', (more: string) => {
    text += more
    look()
  })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  return {
    socket,
    closed,
    received: () => text,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        look = () => {
          if (pattern.test(text)) resolve(text)
        }
        look()
        void closed.then(() => reject(new Error(`closed before ${pattern}: ${JSON.stringify(text)}`)))
      }),
  }
}

/** What is answered to bytes that are sent in these pieces, each in a packet of its own, and then the end of the stream. */
async function answerTo(port: number, pieces: readonly string[]): Promise<string> {
  const { socket, closed, received } = talk(port)
  socket.setNoDelay(true)
  for (const piece of pieces) {
    await new Promise<void>((resolve) => socket.write(piece, 'latin1', () => resolve()))
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.end()
  await closed
  return received().replaceAll(/^(?:Date|X-Ms-Correlation-Request-Id): .*\r\n/gm, '')
}

const get = (target: string, ...lines: string[]) =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

const conversations: Readonly<Record<string, readonly string[]>> = {
  'a request': [get('/a')],
  'several requests, one after another': [get('/a'), get('/b', 'Accept: x/y', 'Accept: z/z'), get('/c')],
  'requests in one piece': [get('/a') + get('/b') + get('/c')],
  'a request in two pieces': ['GET /a HTTP/1.1\r\nHo', 'st: localhost\r\n\r\n'],
  'a request and a half': [`${get('/a')}GET /b HT`, 'TP/1.1\r\nHost: localhost\r\n\r\n'],
  'a body after plain requests': [get('/a'), 'PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc', get('/c')],
  'a body in pieces': [
    get('/a'),
    'PATCH /b HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nab',
    'cd',
    'efg',
    get('/c'),
  ],
  'a body with the next request behind it': [
    'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nab',
    `cdefg${get('/c')}`,
    get('/d'),
  ],
  'a body and the next request in one piece': [
    `POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab${get('/c')}`,
  ],
  'a body that looks like a request': [
    `PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: ${get('/x').length}\r\n\r\n`,
    get('/x'),
    get('/c'),
  ],
  'a body of no bytes': ['POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n', get('/c')],
  'a PUT that says nothing of a body': ['PUT /b HTTP/1.1\r\nHost: a\r\n\r\n', get('/c')],
  'two lengths': ['PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nabc', get('/c')],
  'a length that is none': ['PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3x\r\n\r\nabc', get('/c')],
  'a body that waits to be asked for': [
    'PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n',
    'abc',
    get('/c'),
  ],
  'a chunked body': [
    get('/a'),
    'POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    get('/c'),
  ],
  'a GET with a body': ['GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /', get('/b')],
  HEAD: ['HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n', get('/b')],
  'a close': [get('/a', 'Connection: close'), get('/b')],
  'two hosts': ['GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  'no host': ['GET /a HTTP/1.1\r\n\r\n'],
  'HTTP/1.0': ['GET /a HTTP/1.0\r\n\r\n'],
  'smuggled length': [
    'GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n',
  ],
  'a bad line': [get('/a'), 'GET /b HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n'],
  'a huge head': [get('/a'), get('/b', `X-Own: ${'a'.repeat(20_000)}`)],
  rubbish: ['\x01\x02\x03\r\n\r\n'],
  'an upgrade': [get('/a', 'Connection: Upgrade', 'Upgrade: websocket')],
  'an absolute target': ['GET http://localhost/a HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  nothing: [],
}

suite('the plain lane', () => {
  for (const [what, pieces] of Object.entries(conversations)) {
    test(`answers ${what} as node:http does`, { timeout: 20_000 }, async () => {
      await using without = await start({ lane: false })
      await using withLane = await start()
      assert.equal(await answerTo(withLane.port, pieces), await answerTo(without.port, pieces))
    })
  }

  test('serves what is plain itself, and what comes after an unusual request no more', async () => {
    await using server = await start()
    const { socket, until } = talk(server.port)
    socket.write(get('/a'))
    await until(/"\/a"/)
    socket.write(get('/b'))
    await until(/"\/b"/)
    assert.equal(server.byLane(), 2)
    socket.write('PUT /c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
    await until(/"\/c"/)
    socket.write('DELETE /d HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(/"\/d"/)
    assert.equal(server.byLane(), 4)
    socket.write('OPTIONS /e HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(/"\/e"/)
    socket.write(get('/f'))
    await until(/"\/f"/)
    assert.equal(server.byLane(), 4)
    socket.destroy()
  })

  test('answers in order when requests come faster than answers', async () => {
    await using server = await start({
      async answer(transport) {
        await new Promise((resolve) => setTimeout(resolve, transport.target === '/1' ? 30 : 0))
        await echo(transport)
      },
    })
    const { socket, until, received } = talk(server.port)
    for (let i = 1; i <= 5; i++) {
      socket.write(get(`/${i}`))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(/"\/5"/)
    assert.deepEqual(
      received().match(/"target":"\/\d"/g),
      [1, 2, 3, 4, 5].map((i) => `"target":"/${i}"`),
    )
    socket.destroy()
  })

  test('answers a client that has ended its side', async () => {
    let answer = () => {}
    const mayAnswer = new Promise<void>((resolve) => {
      answer = resolve
    })
    await using server = await start({
      async answer(transport) {
        await mayAnswer
        await echo(transport)
      },
    })
    const { socket, closed, received } = talk(server.port)
    socket.end(get('/a'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    answer()
    await closed
    assert.match(received(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*"\/a"/)
  })

  test('cuts a connection that is silent for too long between two requests', { timeout: 5_000 }, async () => {
    await using server = await start({ keepAliveMs: 50 })
    const { socket, until, closed } = talk(server.port)
    socket.write(get('/a'))
    await until(/"\/a"/)
    await closed
  })

  test('closes the longest idle when they are too many, and nobody who has not been silent for two looks', async () => {
    const lane = createPlainLane({
      ...{ serve: echo, handOver: (socket) => void socket.destroy() },
      ...{ headersMs: 60_000, idleMs: 60_000, keepAliveMs: 60_000, smallBodyMs: 60_000 },
      restingBytes: 2 * 8 * 1024,
    })
    const listener = createServer((socket) => lane.take(socket))
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const { port } = listener.address() as AddressInfo
    const client = async () => {
      const connection = talk(port)
      connection.socket.write(get('/first'))
      await connection.until(/\/first/)
      return connection
    }
    const [oldest, active] = [await client(), await client()]
    lane.closeLongIdle()
    const older = await client()
    const newest = await client()
    active.socket.write(get('/second'))
    await active.until(/\/second/)
    lane.closeLongIdle()
    await oldest.closed
    for (const { socket } of [active, older, newest]) assert(!socket.destroyed)

    lane.closeLongIdle()
    await Promise.race([active.closed, older.closed, newest.closed])
    lane.closeLongIdle()
    const left = [active, older, newest].filter(({ socket }) => !socket.destroyed)
    assert.equal(left.length, 2)
    for (const [index, connection] of left.entries()) {
      connection.socket.write(get(`/again-${index}`))
      await connection.until(new RegExp(`/again-${index}`))
      connection.socket.destroy()
    }
    listener.close()
  })

  test('lets the running request finish at the end, says that it was the last, and closes the idle', {
    timeout: 5_000,
  }, async () => {
    let answer = () => {}
    const mayAnswer = new Promise<void>((resolve) => {
      answer = resolve
    })
    await using server = await start({
      async answer(transport) {
        if (transport.target === '/slow') await mayAnswer
        await echo(transport)
      },
    })
    const idle = talk(server.port)
    idle.socket.write(get('/a'))
    await idle.until(/"\/a"/)
    const busy = talk(server.port)
    busy.socket.write(get('/slow'))
    while (server.byLane() < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    const drained = server.listener.drain(4_000)
    await idle.closed
    answer()
    await busy.closed
    assert.match(busy.received(), /\r\nConnection: close\r\n/i)
    assert.equal(await drained, 0)
  })

  const put = (target: string, length: number) =>
    `PUT ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`
  const refused = { status: 403, headers: ['Content-Length', '0'] }

  test('shows a refusal to a client in the middle of its upload, and goes on after it', async () => {
    await using server = await start({
      answer: (transport) => (transport.method === 'PUT' ? transport.send(refused).then(() => {}) : echo(transport)),
    })
    const { socket, until } = talk(server.port)
    const length = 3_000_000
    socket.write(put('/a', length))
    await until(/ 403 /)
    for (let sent = 0; sent < length; sent += 100_000) socket.write('x'.repeat(100_000))
    socket.write(get('/b'))
    assert.match(await until(/"\/b"/), /"body":""/)
    socket.destroy()
  })

  test('lets the sender wait while nobody reads, and then reads every byte', { timeout: 20_000 }, async () => {
    let read = () => {}
    const mayRead = new Promise<void>((resolve) => {
      read = resolve
    })
    let received = 0
    await using server = await start({
      async answer(transport) {
        await mayRead
        for await (const chunk of transport.body.stream()) received += chunk.length
        await transport.send({ status: 201, headers: ['Content-Length', '0'] })
      },
    })
    const { socket, until } = talk(server.port)
    const length = 64_000_000
    socket.write(put('/a', length))
    for (let sent = 0; sent < length; sent += 1_000_000) socket.write('x'.repeat(1_000_000))
    let before = Number.NaN
    while (socket.writableLength !== before) {
      before = socket.writableLength
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    assert.ok(before > length / 2, `${length - before} bytes were taken without a reader`)
    read()
    await until(/ 201 /)
    assert.equal(received, length)
    socket.destroy()
  })

  for (const ending of ['end', 'destroy'] as const)
    test(`tells the reader of a body that the client has gone (${ending})`, async () => {
      let failed = (_: unknown) => {}
      const failure = new Promise<unknown>((resolve) => {
        failed = resolve
      })
      await using server = await start({
        async answer(transport) {
          await transport.body.read(100).catch(failed)
          await transport.send(refused).catch(() => undefined)
        },
      })
      const { socket, closed } = talk(server.port)
      socket.write(`${put('/a', 10)}abc`, () => socket[ending]())
      const error = await failure
      assert.ok(error instanceof Fault && error.code === 'clientGone')
      assert.deepEqual(error.detail, { bytesReceived: 3 })
      await closed
    })

  test('cuts a client that stands still within a body, and not while we are at work', { timeout: 10_000 }, async () => {
    await using server = await start({
      idleMs: 60,
      async answer(transport) {
        await transport.awake(async () => {
          await transport.body.read(100).catch(() => undefined)
          await new Promise((resolve) => setTimeout(resolve, 300))
        })
        await transport.send(refused).catch(() => undefined) // one of the two has gone
      },
    })
    const working = talk(server.port)
    working.socket.write(`${put('/a', 3)}abc`)
    await working.until(/ 403 /)
    const still = talk(server.port)
    still.socket.write(`${put('/a', 3)}ab`)
    await still.closed
    assert.equal(still.received(), '')
    working.socket.destroy()
  })

  test('refuses to send a header that would end early', async () => {
    let failure: unknown
    await using server = await start({
      async answer(transport) {
        failure = await transport
          .send({ status: 200, headers: ['X-Own', 'a\r\nSet-Cookie: b'] })
          .catch((error: unknown) => error)
        await transport.send({ status: 500, headers: ['Content-Length', '0'] })
      },
    })
    const { socket, until } = talk(server.port)
    socket.write(get('/a'))
    assert.doesNotMatch(await until(/\r\n\r\n/), /Set-Cookie/)
    assert.match(String(failure), /may not hold/)
    socket.destroy()
  })
})
