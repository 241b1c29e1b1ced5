import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { freePort } from '../../../server/test/free-port.ts'
import { run } from '../../test/run.ts'
import { readinessUrl } from './health.ts'

suite('berth health', () => {
  const data = mkdtempSync(join(tmpdir(), 'berth-health-'))
  const asked: (string | undefined)[] = []
  let answer = { status: 200, text: '' }
  const server = createServer((request, response) => {
    asked.push(request.url)
    response.writeHead(answer.status).end(answer.text)
  })
  let flags: readonly string[]
  before(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    flags = ['--data', data, '--http', '--port', String((server.address() as AddressInfo).port)]
  })
  after(() => {
    server.close()
    rmSync(data, { recursive: true })
  })

  test('asks whether the server is ready, prints the answer, and ends with 0', async (t) => {
    answer = { status: 200, text: '{"status":"ok"}' }
    assert.deepEqual(await run(t, ['health', ...flags]), { code: 0, stdout: '{"status":"ok"}\n', stderr: '' })
    assert.deepEqual(asked, ['/readyz'])
  })

  test('one that is not ready › says why, and ends with 1', async (t) => {
    answer = { status: 503, text: '{"status":"unavailable"}' }
    assert.deepEqual(await run(t, ['health', ...flags]), { code: 1, stdout: '{"status":"unavailable"}\n', stderr: '' })
  })

  test('one that is not there › a sentence and 1', async (t) => {
    const port = await freePort()
    const stderr = `berth: 127.0.0.1:${port} does not answer (ECONNREFUSED)\n`
    for (const scheme of ['yes', 'no']) {
      const said = await run(t, ['health', '--data', data, '--http', scheme, '--port', String(port)])
      assert.deepEqual(said, { code: 1, stdout: '', stderr })
    }
  })

  test('a folder of no server, and no port › a sentence and 1', async (t) => {
    const stderr = `berth: ${data} is not the data folder of a server; name it with --data\n`
    assert.deepEqual(await run(t, ['health', '--data', data]), { code: 1, stdout: '', stderr })
  })

  for (const scheme of ['http', 'https']) {
    test(`one that accepts and says nothing (${scheme}) › five seconds in all`, async (t) => {
      const sockets: Socket[] = []
      const silent = createSocketServer((socket) => sockets.push(socket.on('error', () => undefined)))
      await once(silent.listen(0, '127.0.0.1'), 'listening')
      t.after(() => {
        for (const socket of sockets) socket.destroy()
        silent.close()
      })
      const { port } = silent.address() as AddressInfo
      const began = performance.now()
      const flags = ['--data', data, '--http', scheme === 'http' ? 'yes' : 'no', '--port', String(port)]
      const stderr = `berth: 127.0.0.1:${port} does not answer (no answer within 5 s)\n`
      assert.deepEqual(await run(t, ['health', ...flags]), { code: 1, stdout: '', stderr })
      assert.ok(performance.now() - began < 7_500, `${performance.now() - began} ms`)
    })
  }

  test('one whose answer does not end › five seconds in all', async (t) => {
    const slow = createServer((_, response) => {
      const ticker = setInterval(() => response.write('.'), 500)
      response.on('close', () => clearInterval(ticker))
    })
    await once(slow.listen(0, '127.0.0.1'), 'listening')
    t.after(() => slow.close())
    const { port } = slow.address() as AddressInfo
    const began = performance.now()
    const said = await run(t, ['health', '--data', data, '--http', '--port', String(port)])
    assert.deepEqual([said.code, said.stdout], [1, ''])
    assert.ok(performance.now() - began < 7_500, `${performance.now() - began} ms`)
  })

  test('reaches a server that listens on every address by this machine’s own', () => {
    const urlOf = (host: string, kind: 'none' | 'local-authority') =>
      readinessUrl({ host, port: 8443, tls: kind === 'none' ? { kind } : { kind, folder: '' } }).href
    assert.equal(urlOf('0.0.0.0', 'local-authority'), 'https://127.0.0.1:8443/readyz')
    assert.equal(urlOf('::', 'none'), 'http://[::1]:8443/readyz')
    assert.equal(urlOf('10.0.0.7', 'none'), 'http://10.0.0.7:8443/readyz')
    assert.equal(urlOf('berth.internal', 'local-authority'), 'https://berth.internal:8443/readyz')
  })
})
