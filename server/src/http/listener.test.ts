import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import { request as httpsRequest, type RequestOptions as TlsRequestOptions } from 'node:https'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { openAuthority } from '../tls/authority.ts'
import { createListener, ListenError, type Listener, type ListenerOptions } from './listener.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-listener-'))
after(() => rmSync(folder, { recursive: true }))
const authority = await openAuthority({ folder, domain: 'localhost' })
const ca = readFileSync(authority.certificateFile, 'utf8')

interface Started extends Listener {
  readonly port: number
}

async function start(t: TestContext, options: Partial<ListenerOptions> = {}): Promise<Started> {
  const all = { handler: describe, plain: 'also', tls: authority, ...options } as ListenerOptions
  const listener = createListener(all)
  const { port } = await listener.listen('127.0.0.1', 0)
  t.after(() => listener.drain(0))
  return { ...listener, port }
}

/** Says what the handler can see of the connection. */
const describe: RequestListener = async (request, response) => {
  const bytes = await count(request).catch(() => undefined)
  if (bytes === undefined) return // the connection is gone
  const { encrypted = false, servername, remoteAddress } = request.socket as Partial<TLSSocket>
  response.end(JSON.stringify({ path: request.url, bytes, encrypted, servername, remoteAddress }))
}

async function count(body: AsyncIterable<Buffer>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  return bytes
}

async function get(port: number, options: TlsRequestOptions = {}, body?: Iterable<Buffer>) {
  const ask = options.protocol === 'https:' ? httpsRequest : httpRequest
  const request = ask({ host: '127.0.0.1', port, ca, agent: false, ...options })
  if (body !== undefined) {
    for (const chunk of body) if (!request.write(chunk)) await once(request, 'drain')
  }
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() }
}

/** Writes raw bytes and returns all that comes back until the server closes. */
async function exchange(port: number, ...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  for (const part of parts) {
    socket.write(part)
    await pause(5)
  }
  return received(socket)
}

async function received(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  if (!socket.closed) await once(socket, 'close')
  return text
}

const oneGet = 'GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n'
const lastGet = 'GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

/** The bytes with which a TLS client begins. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connectTls({ port: (server.address() as { port: number }).port, host: '127.0.0.1' }).on(
    'error',
    () => {},
  )
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [hello] = (await once(
    socket.on('error', () => {}),
    'data',
  )) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'it did not happen within five seconds')
    await pause(5)
  }
}

suite('one port', () => {
  test('answers HTTP and HTTPS, and the handler sees which, by what name and from where', async (t) => {
    const { port } = await start(t)
    const plain = JSON.parse((await get(port, { path: '/a' })).text)
    assert.deepEqual(plain, { path: '/a', bytes: 0, encrypted: false, remoteAddress: '127.0.0.1' })
    const secure = JSON.parse((await get(port, { protocol: 'https:', servername: 'berth.localhost' })).text)
    assert.equal(secure.encrypted, true)
    assert.equal(secure.servername, 'berth.localhost')
    assert.equal(secure.remoteAddress, '127.0.0.1')
  })

  test('answers on ::1 too when it listens on 127.0.0.1', async (t) => {
    const { port } = await start(t)
    assert.equal(JSON.parse((await get(port, { host: '::1' })).text).remoteAddress, '::1')
  })

  test('speaks TLS 1.2 and 1.3, HTTP/1.1 by ALPN, and nothing older', async (t) => {
    const { port } = await start(t)
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = connectTls({
        port,
        ca,
        minVersion: version,
        maxVersion: version,
        ALPNProtocols: ['h2', 'http/1.1'],
      })
      await once(socket, 'secureConnect')
      assert.deepEqual([socket.getProtocol(), socket.alpnProtocol, socket.authorized], [version, 'http/1.1', true])
      socket.destroy()
    }
    const old = connectTls({ port, ca, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
    await assert.rejects(once(old, 'secureConnect'))
  })

  test('answers pipelined requests in order, the first of which came with the first byte', async (t) => {
    const { port } = await start(t)
    const text = await exchange(port, oneGet + oneGet + lastGet)
    assert.deepEqual(text.match(/"path":"[^"]+/g), ['"path":"/one', '"path":"/one', '"path":"/last'])
  })

  for (const plain of ['also', 'only'] as const) {
    test(`hears a client that sends one byte at a time (plain: ${plain})`, async (t) => {
      const { port } = await start(t, { plain })
      assert.match(await exchange(port, ...lastGet.replace('localhost', 'x')), /^HTTP\/1\.1 200 OK\r\n/)
    })
  }

  test('hears a TLS client whose first bytes come one at a time', async (t) => {
    const { port } = await start(t)
    const front = createServer((client) => {
      const back = connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => client.destroy())
      let bytes = 0
      client.on('error', () => back.destroy()).on('close', () => back.destroy())
      client.on('data', async (chunk: Buffer) => {
        client.pause()
        for (const byte of chunk) {
          if (bytes++ < 40) await pause(1)
          back.write(Buffer.of(byte))
        }
        client.resume()
      })
      back.pipe(client)
    }).listen(0, '127.0.0.1')
    await once(front, 'listening')
    t.after(() => front.close())
    const through = (front.address() as { port: number }).port
    assert.equal((await get(through, { protocol: 'https:', servername: 'localhost' })).status, 200)
  })

  test('answers a client that has ended its side', async (t) => {
    const { port } = await start(t)
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.end(oneGet)
    assert.match(await received(socket), /"path":"\/one"/)
  })

  for (const protocol of ['http:', 'https:']) {
    test(`takes large uploads, with a length and in chunks (${protocol})`, async (t) => {
      const { port } = await start(t)
      const chunk = Buffer.alloc(1_000_003)
      const length = { 'Content-Length': 64 * chunk.length }
      for (const headers of [length, {}]) {
        const body = new Array<Buffer>(64).fill(chunk)
        const { text } = await get(port, { protocol, method: 'PUT', headers }, body)
        assert.equal(JSON.parse(text).bytes, 64 * chunk.length)
      }
    })
  }

  test('leaves "100 Continue" to the handler', async (t) => {
    const handler: RequestListener = (request, response) => {
      if (request.url === '/refused') response.writeHead(401).end()
      else {
        response.writeContinue()
        describe(request, response)
      }
    }
    const { port } = await start(t, { handler })
    const head = (path: string) =>
      `PUT ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`
    assert.match(await exchange(port, head('/refused')), /^HTTP\/1\.1 401 /)
    assert.match(
      await exchange(port, head('/wanted'), 'hi'),
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK[\s\S]*"bytes":2/,
    )
  })

  test('ignores an offer to upgrade', async (t) => {
    const { port } = await start(t)
    const { status } = await get(port, {
      headers: { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': '' },
    })
    assert.equal(status, 200)
  })
})

suite('plain HTTP where it is refused', () => {
  test('gets 400 and a sentence, whatever the method, while HTTPS is answered', async (t) => {
    const { port } = await start(t, { plain: 'refuse' })
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'CONNECT']) {
      const text = await exchange(port, `${method} / HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      assert.match(
        text,
        /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\nThis port speaks HTTPS: write https:\/\/ in place of http:\/\/\.\n$/,
      )
    }
    assert.equal((await get(port, { protocol: 'https:', servername: 'localhost' })).status, 200)
  })
})

suite('a malformed request', () => {
  const garbage = '\u0001\u0002 what is this\r\n\r\n'

  test('gets 400 in the OCI envelope, and the connection ends', async (t) => {
    const { port } = await start(t)
    const text = await exchange(port, garbage)
    assert.match(
      text,
      /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\n\{"errors":\[\{"code":"UNSUPPORTED","message":"[^"]+"\}\]\}$/,
    )
    assert.equal(text.match(/^HTTP/gm)?.length, 1)
  })

  test('gets 431 when its head is larger than 16 KiB', async (t) => {
    const { port } = await start(t)
    const text = await exchange(port, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
    assert.match(text, /^HTTP\/1\.1 431 [\s\S]*\{"errors":/)
  })

  test('gets the same over TLS', async (t) => {
    const { port } = await start(t)
    const socket = connectTls({ port, ca, servername: 'localhost' })
    socket.write(garbage)
    assert.match(await received(socket), /^HTTP\/1\.1 400 Bad Request\r\n/)
  })

  test('does not overtake the answer to the request before it', async (t) => {
    const handler: RequestListener = async (_request, response) => {
      await pause(30)
      response.end('first')
    }
    const { port } = await start(t, { handler })
    const text = await exchange(port, oneGet + garbage)
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*first$/)
  })

  test('is answered once, when its body turns out to be malformed before the handler has answered', async (t) => {
    let failed: unknown
    const handler: RequestListener = async (request, response) => {
      await count(request).catch((error: unknown) => {
        failed = error
      })
      response.writeHead(500).end('second answer')
    }
    const { port } = await start(t, { handler })
    const head = 'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    const text = await exchange(port, `${head}5\r\nhello\r\nzz\r\n`)
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\]\}$/)
    await until(() => failed !== undefined)
  })

  test('cuts an answer that has begun', async (t) => {
    const handler: RequestListener = (request, response) => {
      response.write('begun')
      request.resume()
    }
    const { port } = await start(t, { handler })
    const head = 'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => (text += chunk)).on('error', () => undefined)
    socket.write(head)
    await until(() => text.includes('begun'))
    socket.write('zz\r\n')
    await once(socket, 'close')
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*begun\r\n$/)
  })

  test('without a Host header reaches the handler, which has the envelope for it', async (t) => {
    const { port } = await start(t)
    assert.match(await exchange(port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /)
  })
})

suite('time limits', () => {
  test('a connection that says nothing is closed', async (t) => {
    const listener = await start(t, { timeouts: { firstByteMs: 30 } })
    const socket = connect(listener.port, '127.0.0.1')
    await once(socket, 'connect')
    assert.equal(await received(socket), '')
    await until(() => listener.connections() === 0)
  })

  for (const plain of ['also', 'refuse'] as const) {
    test(`a handshake that only creeps along is cut (plain: ${plain})`, async (t) => {
      const listener = await start(t, { plain, timeouts: { handshakeMs: 60 } })
      const hello = await clientHello()
      const socket = connect(listener.port, '127.0.0.1').on('error', () => {})
      const started = performance.now()
      for (const byte of hello.subarray(0, -1)) {
        if (socket.destroyed || performance.now() - started > 2_000) break
        socket.write(Buffer.of(byte))
        await pause(5)
      }
      assert.ok(performance.now() - started < 2_000, 'it was not cut')
      await until(() => listener.connections() === 0)
    })
  }

  test('a head that creeps along gets 408', async (t) => {
    const { port } = await start(t, { timeouts: { headersMs: 50 } })
    assert.match(await exchange(port, oneGet.slice(0, 20)), /^HTTP\/1\.1 408 [\s\S]*\{"errors":/)
    const socket = connectTls({ port, ca, servername: 'localhost' })
    assert.match(await received(socket), /^(?:|HTTP\/1\.1 408 [\s\S]*)$/)
  })

  for (const protocol of ['http:', 'https:']) {
    test(`a body that stops coming is cut, one that creeps along is not (${protocol})`, async (t) => {
      const { port } = await start(t, { timeouts: { idleMs: 400 } })
      const options = { host: '127.0.0.1', port, ca, method: 'PUT', agent: false, servername: 'localhost' }
      const ask = protocol === 'https:' ? httpsRequest : httpRequest
      const stopped = ask(options)
      stopped.write('x')
      await assert.rejects(once(stopped, 'response'), { code: 'ECONNRESET' })
      const creeping = ask(options)
      for (let i = 0; i < 12; i++) {
        creeping.write('x')
        await pause(50)
      }
      creeping.end()
      const [response] = (await once(creeping, 'response')) as [IncomingMessage]
      assert.equal(response.statusCode, 200)
      response.resume()
    })
  }
})

suite('a connection that goes wrong', () => {
  test('harms nobody else: reset before a byte, in the handshake, in a request', async (t) => {
    const listener = await start(t)
    const { port } = listener
    const hello = await clientHello()
    for (const bytes of [
      '',
      hello.subarray(0, 1),
      hello.subarray(0, 100),
      hello,
      oneGet.slice(0, 9),
      'PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n',
    ]) {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      await once(socket, 'connect')
      if (bytes.length > 0) socket.write(bytes)
      await pause(10)
      socket.resetAndDestroy()
    }
    const ended = connect(port, '127.0.0.1')
    ended.end()
    await received(ended)
    await until(() => listener.connections() === 0)
    assert.equal((await get(port)).status, 200)
  })

  test('a TLS client that does not trust the certificate leaves no trace', async (t) => {
    const listener = await start(t)
    await assert.rejects(get(listener.port, { protocol: 'https:', ca: [] }))
    await until(() => listener.connections() === 0)
  })
})

suite('draining', () => {
  test('closes idle connections at once and refuses new ones', async (t) => {
    const listener = await start(t, { plain: 'also' })
    const socket = connect(listener.port, '127.0.0.1')
    socket.write(oneGet)
    await once(socket, 'data')
    const started = performance.now()
    assert.equal(await listener.drain(5_000), 0)
    assert.ok(performance.now() - started < 2_000)
    await assert.rejects(once(connect(listener.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
    await assert.rejects(once(connect(listener.port, '::1'), 'connect'), { code: 'ECONNREFUSED' })
  })

  test('lets a running request finish and tells its client to close', async (t) => {
    const running = Promise.withResolvers<void>()
    const handler: RequestListener = async (_request, response) => {
      running.resolve()
      await pause(100)
      response.end('done')
    }
    const listener = await start(t, { handler })
    const answers = (['http:', 'https:'] as const).map((protocol) =>
      get(listener.port, { protocol, servername: 'localhost', headers: { Connection: 'keep-alive' } }),
    )
    await running.promise
    await pause(40)
    assert.equal(await listener.drain(5_000), 0)
    for (const { text, headers } of await Promise.all(answers)) {
      assert.deepEqual([text, headers.connection], ['done', 'close'])
    }
  })

  test('cuts what is not finished at the deadline', async (t) => {
    const listener = await start(t, { handler: () => {} })
    const socket = connect(listener.port, '127.0.0.1').on('error', () => {})
    socket.write(oneGet)
    const silent = connect(listener.port, '127.0.0.1').on('error', () => {})
    await until(() => listener.connections() === 2)
    await pause(20)
    assert.equal(await listener.drain(100), 2)
    await received(socket)
    await received(silent)
    await until(() => listener.connections() === 0)
  })
})

suite('listening', () => {
  test('a port that is taken is a ListenError with a sentence', async (t) => {
    const { port } = await start(t)
    const second = createListener({ handler: describe, plain: 'only' })
    await assert.rejects(second.listen('127.0.0.1', port), (error) => {
      assert.ok(error instanceof ListenError)
      assert.equal(error.code, 'EADDRINUSE')
      assert.match(error.message, new RegExp(`^port ${port} on 127\\.0\\.0\\.1 is taken by another program`))
      return true
    })
  })

  test('a port that is taken on ::1 only is an error too: clients of localhost would meet the other program', async (t) => {
    const other = createServer().listen(0, '::1')
    await once(other, 'listening')
    t.after(() => other.close())
    const listener = createListener({ handler: describe, plain: 'only' })
    const { port } = other.address() as { port: number }
    await assert.rejects(listener.listen('127.0.0.1', port), { name: 'ListenError', code: 'EADDRINUSE' })
    await assert.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  })

  test('an address of another machine is a ListenError', async () => {
    const listener = createListener({ handler: describe, plain: 'only' })
    await assert.rejects(listener.listen('192.0.2.1', 0), { name: 'ListenError', code: 'EADDRNOTAVAIL' })
  })

  test('a renewed certificate is used without a restart', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const other = mkdtempSync(join(tmpdir(), 'berth-listener-'))
    t.after(() => rmSync(other, { recursive: true }))
    const pairs = [
      await authority.defaultCertificate(),
      await (await openAuthority({ folder: other, domain: 'localhost' })).defaultCertificate(),
    ]
    let asked = 0
    const { port } = await start(t, { tls: { defaultCertificate: async () => pairs[asked++] ?? assert.fail() } })
    assert.equal((await get(port, { protocol: 'https:' })).status, 200)
    t.mock.timers.tick(60_000)
    await until(() => asked === 2)
    await pause(5)
    await assert.rejects(get(port, { protocol: 'https:' }), /unable to verify|self-signed|signature/)
  })
})
