import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type SystemCalls, systemCalls } from '../base/system-calls.ts'
import { createFileSender, type WriteToSocket } from './file-sender.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-send-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'file')
const content = randomBytes(12_345_678)
writeFileSync(path, content)

const written =
  (socket: Socket): WriteToSocket =>
  (bytes) =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error('gone'))
      const gone = () => reject(new Error('gone'))
      socket.once('close', gone)
      socket.write(bytes, () => {
        socket.off('close', gone)
        resolve()
      })
    })

interface Ends extends AsyncDisposable {
  readonly server: Socket
  readonly client: Socket
}

async function aConnection(): Promise<Ends> {
  const listener = createServer({ noDelay: true })
  const accepted = new Promise<Socket>((resolve) => listener.once('connection', resolve))
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const client = connect((listener.address() as { port: number }).port, '127.0.0.1')
  const server = await accepted
  for (const socket of [client, server]) socket.on('error', () => undefined)
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/** Of all that comes until the end. */
async function received(client: Socket): Promise<{ readonly length: number; readonly sha256: string }> {
  const hash = createHash('sha256')
  let length = 0
  for await (const chunk of client) {
    hash.update(chunk)
    length += chunk.length
  }
  return { length, sha256: hash.digest('hex') }
}

const summary = (bytes: Buffer) => ({ length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })

/** The system, with a record of how many bytes it has sent by itself. */
function watched(changes: Partial<SystemCalls> = {}): { system: SystemCalls; sent: () => number } {
  const real = { ...systemCalls()!, ...changes }
  let bytes = 0
  const sendFile: SystemCalls['sendFile'] = (...call) => {
    const taken = real.sendFile(...call)
    bytes += taken
    return taken
  }
  return { system: { ...real, sendFile }, sent: () => bytes }
}

async function send(
  system: SystemCalls,
  { server, client }: Ends,
  { start, end }: { start: number; end: number },
): Promise<{ readonly length: number; readonly sha256: string }> {
  const arriving = received(client)
  await createFileSender(system)!.send(server, { file: openSync(path, 'r'), start, end }, written(server))
  server.end()
  return arriving
}

suite('files that the system sends', { skip: systemCalls() === undefined && 'no node:ffi here' }, () => {
  for (const [start, end] of [
    [0, content.length],
    [0, 1],
    [0, 65_536],
    [4_095, 4_097],
    [1, content.length - 1],
    [5_000_000, 9_876_543],
    [content.length - 70_000, content.length],
  ] as const) {
    test(`${start} to ${end} arrive as they are, most of them without us`, async () => {
      await using ends = await aConnection()
      const { system, sent } = watched()
      assert.deepEqual(await send(system, ends, { start, end }), summary(content.subarray(start, end)))
      assert.ok(sent() >= (end - start - 65_536) / 2, `${sent()} by the system`)
    })
  }

  const all = { start: 0, end: content.length }

  test('what is not in memory is read elsewhere', async () => {
    await using ends = await aConnection()
    const { system, sent } = watched({ residentBytes: () => 0 })
    assert.deepEqual(await send(system, ends, all), summary(content))
    assert.equal(sent(), 0)
  })

  test('what is in memory here and there', async () => {
    await using ends = await aConnection()
    let asked = 0
    const { system, sent } = watched({
      residentBytes: (_mapping, _position, length) => (++asked % 3 === 0 ? Math.min(length, 700_000) : asked * 1_000),
    })
    assert.deepEqual(await send(system, ends, all), summary(content))
    assert.ok(sent() > 0 && sent() < content.length / 2, `${sent()} by the system`)
  })

  test('a system that maps no files, and one whose socket never takes anything', async () => {
    for (const change of [{ mapFile: () => undefined }, { sendFile: () => 0 }]) {
      await using ends = await aConnection()
      assert.deepEqual(await send(watched(change).system, ends, all), summary(content))
    }
  })

  test('a client that takes its time gets everything, and others are served meanwhile', async () => {
    await using ends = await aConnection()
    const file = openSync(path, 'r')
    const { server, client } = ends
    const sending = createFileSender()!.send(server, { file, ...all }, written(server))
    await pause(50)
    await using other = await aConnection()
    assert.deepEqual(
      await send(systemCalls()!, other, { start: 0, end: 100_000 }),
      summary(content.subarray(0, 100_000)),
    )
    const arriving = received(client)
    await sending
    server.end()
    assert.deepEqual(await arriving, summary(content))
  })

  test('a client that goes away in the middle: it says so, and the file is closed', async () => {
    await using ends = await aConnection()
    const { server, client } = ends
    const file = openSync(path, 'r')
    const sending = createFileSender()!.send(server, { file, ...all }, written(server))
    client.once('data', () => client.resetAndDestroy())
    await assert.rejects(sending, /gone/)
    assert.throws(() => fstatSync(file), /EBADF/)
  })

  test('a file that ends too early: it says so', async () => {
    const short = join(folder, 'short')
    writeFileSync(short, content)
    const file = openSync(short, 'r')
    truncateSync(short, 300_001)
    await using ends = await aConnection()
    const arriving = received(ends.client)
    const sending = createFileSender()!.send(ends.server, { file, ...all }, written(ends.server))
    await assert.rejects(sending, /damaged: it ends after 300001 bytes/)
    ends.server.end()
    assert.deepEqual(await arriving, summary(content.subarray(0, 300_001)))
  })
})

suite('system calls', { skip: systemCalls() === undefined && 'no node:ffi here' }, () => {
  test('say what of a file is in memory', () => {
    const system = systemCalls()!
    const file = openSync(path, 'r')
    const mapping = system.mapFile(file, content.length)!
    assert.equal(system.residentBytes(mapping, 0, 100_000), 100_000)
    assert.equal(system.residentBytes(mapping, 5_001, 100_000), 100_000)
    const last = content.length - 10
    assert.equal(system.residentBytes(mapping, last, 10), 10)
    system.unmapFile(mapping, content.length)
    closeSync(file)
  })

  test('refuse what cannot be mapped or sent to', () => {
    const system = systemCalls()!
    assert.equal(system.mapFile(openSync('/', 'r'), 10), undefined)
    const file = openSync(path, 'r')
    assert.equal(system.sendFile(-1, file, 0, 10), 0)
    closeSync(file)
  })
})
