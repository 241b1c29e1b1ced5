/** How the program ends: by one signal in order, by two at once, and what is left when a process of it dies. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import { randomBytesOf, sha256 } from './images.ts'
import { basic, childrenOf, fetchOnce, isRunning, type Program, startProgram, until } from './program.ts'
import { closing } from './registry.ts'
import { temporaryFolder } from './temporary-folder.ts'

const options = { timeout: 120_000, skip: process.platform !== 'linux' && 'looks at processes in /proc' }
const bytes = randomBytesOf('slow', 256 << 10)
const half = bytes.length / 2

/** Begins to send a body, and returns once the server has told to go on and half of it is on its way. */
async function beginUpload(program: Program, method: 'PATCH' | 'PUT'): Promise<ClientRequest> {
  const authorization = basic(program.bootstrap.registry)
  const base = `http://127.0.0.1:${program.port}`
  const begun = await fetchOnce(`${base}/v2/slow/blobs/uploads/`, { method: 'POST', headers: { authorization } })
  assert.equal(begun.status, 202)
  const location = begun.headers.location ?? ''
  const path = method === 'PUT' ? closing(location, sha256(bytes)) : location
  const headers = {
    authorization,
    'content-type': 'application/octet-stream',
    'content-length': bytes.length,
    expect: '100-continue',
  }
  const upload = httpRequest(base + path, { method, agent: false, headers })
  upload.flushHeaders()
  await once(upload, 'continue')
  await new Promise((resolve) => upload.write(bytes.subarray(0, half), resolve))
  return upload
}

async function finish(upload: ClientRequest): Promise<IncomingMessage> {
  upload.end(bytes.subarray(half))
  const [response] = (await once(upload, 'response')) as [IncomingMessage]
  response.resume()
  return response
}

const isRefused = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })

const isHealthy = (port: number) =>
  fetchOnce(`http://127.0.0.1:${port}/healthz`, { timeout: 1_000 }).then(
    ({ status }) => status === 200,
    () => false,
  )

for (const workers of ['1', '2']) {
  const start = async (dataFolder: string, ...flags: string[]) =>
    startProgram({ dataFolder, flags: ['--workers', workers, ...flags] })

  test(`SIGTERM (workers: ${workers}) › running uploads finish, nobody new gets in, exit code 0`, options, async () => {
    await using data = await temporaryFolder('data')
    await using program = await start(data.folder)
    const uploads = await Promise.all([beginUpload(program, 'PATCH'), beginUpload(program, 'PUT')])
    program.signal('SIGTERM')
    await until('new connections are refused', () => isRefused(program.port))
    const answers = await Promise.all(uploads.map(finish))
    assert.deepEqual(
      answers.map(({ statusCode }) => statusCode),
      [202, 201],
    )
    for (const { headers } of answers) assert.equal(headers.connection, 'close')
    assert.equal(await program.exited, 0)
    await until('the last line is there', () => /"msg":"ended"/.test(program.stdout))
    assert.doesNotMatch(program.log, /were cut/)

    await using again = await start(data.folder)
    const url = `http://127.0.0.1:${again.port}/v2/slow/blobs/${sha256(bytes)}`
    const blob = await fetchOnce(url, { headers: { authorization: basic(again.bootstrap.registry) } })
    assert.ok(blob.body.equals(bytes), 'what was acknowledged while it ended is kept')
  })

  test(`SIGTERM (workers: ${workers}) › an idle connection does not hold it up`, options, async () => {
    await using data = await temporaryFolder('data')
    await using program = await start(data.folder)
    const sockets = [connect(program.port, '127.0.0.1'), connect(program.port, '127.0.0.1')] as const
    sockets[0].write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await once(sockets[0], 'data')
    const began = performance.now()
    program.signal('SIGTERM')
    assert.equal(await program.exited, 0)
    assert.ok(performance.now() - began < 5_000)
    for (const socket of sockets) socket.destroy()
  })

  test(`SIGTERM (workers: ${workers}) › what is not done at the deadline is cut, exit code 0`, options, async () => {
    await using data = await temporaryFolder('data')
    await using program = await start(data.folder, '--drain-seconds', '1')
    const upload = await beginUpload(program, 'PATCH')
    const cut = once(upload, 'error')
    const began = performance.now()
    program.signal('SIGTERM')
    await cut
    assert.ok(performance.now() - began >= 900, 'it had its second')
    assert.equal(await program.exited, 0)
    assert.ok(performance.now() - began < 8_000)
    assert.match(program.stdout, /"connections":1,"msg":"connections were cut at the end of the drain time"/)
  })

  test(`two SIGTERMs (workers: ${workers}) › end it at once with 130, and no process is left`, options, async () => {
    await using data = await temporaryFolder('data')
    await using program = await start(data.folder)
    const upload = await beginUpload(program, 'PATCH')
    upload.on('error', () => {})
    const processes = [program.pid, ...childrenOf(program.pid)]
    assert.equal(processes.length, workers === '1' ? 1 : 3)
    program.signal('SIGTERM')
    await until('new connections are refused', () => isRefused(program.port))
    const began = performance.now()
    program.signal('SIGTERM')
    assert.equal(await program.exited, 130)
    await until('every process has ended', () => !processes.some(isRunning))
    assert.ok(performance.now() - began < 5_000)
  })
}

test('SIGTERM, and a worker that hangs › it is killed in the end, and told of', options, async () => {
  await using data = await temporaryFolder('data')
  await using program = await startProgram({
    dataFolder: data.folder,
    flags: ['--workers', '2', '--drain-seconds', '0'],
  })
  const workers = childrenOf(program.pid)
  process.kill(workers[0] ?? 0, 'SIGSTOP')
  program.signal('SIGTERM')
  assert.equal(await program.exited, 0)
  assert.ok(!workers.some(isRunning))
  assert.match(program.stdout, /"msg":"a process does not come to its end, and is killed"/)
})

test('SIGINT to the whole group, as Ctrl+C sends it › running uploads finish too', options, async () => {
  await using data = await temporaryFolder('data')
  await using program = await startProgram({ dataFolder: data.folder, flags: ['--workers', '2'] })
  const upload = await beginUpload(program, 'PUT')
  process.kill(-program.pid, 'SIGINT')
  await until('new connections are refused', () => isRefused(program.port))
  assert.equal((await finish(upload)).statusCode, 201)
  assert.equal(await program.exited, 0)
})

test('a worker that is killed › the server goes on, and a new worker takes its place', options, async () => {
  await using data = await temporaryFolder('data')
  await using program = await startProgram({ dataFolder: data.folder, flags: ['--workers', '2'] })
  const before = childrenOf(program.pid)
  assert.equal(before.length, 2)
  const [victim = 0, survivor = 0] = before
  process.kill(victim, 'SIGKILL')
  // A connection that was on its way to the dead worker is lost with it; the client's next one is not.
  await until('it answers meanwhile', () => isHealthy(program.port))
  await until('a new worker serves', () => {
    const now = childrenOf(program.pid)
    return now.length === 2 && !now.includes(victim)
  })
  assert.ok(childrenOf(program.pid).includes(survivor))
  assert.match(program.stdout, /"signal":"SIGKILL","msg":"a worker ended; starting another"/)
  const newcomer = childrenOf(program.pid).find((pid) => pid !== survivor) ?? 0
  // One line a request, with the process that answered it.
  await until('the new one answers requests', async () => {
    assert.ok(await isHealthy(program.port))
    return new RegExp(`"pid":${newcomer},.*"msg":"request"`).test(program.stdout)
  })
  program.signal('SIGTERM')
  assert.equal(await program.exited, 0)
})

test('the first process is killed › its workers end by themselves and free port and data', options, async () => {
  await using data = await temporaryFolder('data')
  await using program = await startProgram({ dataFolder: data.folder, flags: ['--workers', '2'] })
  const workers = childrenOf(program.pid)
  assert.equal(workers.length, 2)
  process.kill(program.pid, 'SIGKILL')
  assert.equal(await program.exited, 'SIGKILL')
  await until('the workers have ended', () => !workers.some(isRunning))
  // The system may close what a killed process had open a moment after its end.
  await until('the port is free', () => isRefused(program.port))
  const port = String(program.port)
  await using again = await startProgram({ dataFolder: data.folder, flags: ['--workers', '2', '--port', port] })
  assert.ok(await isHealthy(again.port))
})
