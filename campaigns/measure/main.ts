/**
 * `npm run measure`: how long the program takes to be ready, and how much memory it holds, idle and after a layer of 1 GiB.
 * The first table is the median of five starts each; compare figures of one machine and one load only.
 */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { basic } from '../client.ts'
import { readAnswers } from '../fuzz/wire.ts'
import { cliMain, type Memory, memoryOfGroup, type Program, prepareProgram, projectFolder } from '../program.ts'

const { values } = parseArgs({
  options: {
    starts: { type: 'string', default: '5' },
    workers: { type: 'string', default: String(cpus().length) },
    mebibytes: { type: 'string', default: '1024' },
  },
})
const workers = Number(values.workers)
const npm = ['npm', '--prefix', projectFolder, 'start', '--']
const commands: readonly (readonly [title: string, command: readonly string[], adds: boolean])[] = [
  ['node cli/src/main.ts start', [process.execPath, cliMain], true],
  ['node scripts/start.mjs', [process.execPath, join(projectFolder, 'scripts', 'start.mjs')], false],
  ['npm start', npm, false],
]

console.log(`${cpus()[0]?.model.trim()} × ${cpus().length}, Node ${process.version}, ${workers} workers\n`)
console.log('| until /healthz is 200, ms | empty folder | second start |')
console.log('|---|---|---|')
for (const [title, command, addsStart] of commands) {
  const times = { first: [] as number[], second: [] as number[] }
  for (let start = 0; start < Number(values.starts); start++) {
    await using program = await prepareProgram({ workers, command: [...command], startWord: addsStart })
    times.first.push(await timeOf(() => program.start()))
    await program.terminate()
    times.second.push(await timeOf(() => program.start()))
    await program.terminate()
  }
  console.log(`| ${title} | ${spread(times.first)} | ${spread(times.second)} |`)
}

await using program = await prepareProgram({ workers })
await program.start()
await new Promise((resolve) => setTimeout(resolve, 2_000))
const idle = memoryOfGroup(program.pid)
const megabytes = Number(values.mebibytes)
const seconds = await pushLayer(program, megabytes)
const pushed = memoryOfGroup(program.pid)
console.log(`\n| resident memory, MiB | idle | after a layer of ${megabytes} MiB | at most |`)
console.log('|---|---|---|---|')
for (const [index, { pid, resident, highest }] of pushed.entries()) {
  const name = index === 0 ? 'first process' : `worker ${index}`
  const before = idle.find((entry) => entry.pid === pid)?.resident ?? 0
  console.log(`| ${name} | ${before.toFixed(0)} | ${resident.toFixed(0)} | ${highest.toFixed(0)} |`)
}
const sum = (all: readonly Memory[], field: 'resident' | 'highest') =>
  all.reduce((total, entry) => total + entry[field], 0).toFixed(0)
console.log(`| together | ${sum(idle, 'resident')} | ${sum(pushed, 'resident')} | ${sum(pushed, 'highest')} |`)
console.log(`\npushed ${megabytes} MiB in ${seconds.toFixed(1)} s: ${(megabytes / seconds).toFixed(0)} MiB/s`)

async function timeOf(work: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

/** The median, and the best and worst in brackets. */
function spread(times: readonly number[]): string {
  const sorted = [...times].sort((one, other) => one - other).map(Math.round)
  return `${sorted[Math.floor(sorted.length / 2)]} (${sorted[0]}–${sorted.at(-1)})`
}

/** POST, then one PUT with everything, over one plain connection. Returns the seconds that the PUT took. */
async function pushLayer({ port, host, username, password }: Program, mebibytes: number): Promise<number> {
  const authorization = basic(username, password)
  const begun = await fetch(`http://127.0.0.1:${port}/v2/measure/blobs/uploads/`, {
    method: 'POST',
    headers: { authorization },
  })
  const location = begun.headers.get('location') ?? ''
  const mebibyte = Buffer.alloc(1024 * 1024)
  const hash = createHash('sha256')
  const fill = (index: number) => mebibyte.fill(`${index} of a layer that does not repeat itself; `)
  for (let index = 0; index < mebibytes; index++) hash.update(fill(index))
  const socket = connect({ host: '127.0.0.1', port })
  const received: Buffer[] = []
  const answered = new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.on('data', (chunk: Buffer) => {
      received.push(chunk)
      if (readAnswers(received, 'PUT', false).answers.length > 0) resolve()
    })
  })
  const started = performance.now()
  socket.write(
    `PUT ${location}?digest=sha256:${hash.digest('hex')} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${authorization}\r\nContent-Length: ${mebibytes * mebibyte.length}\r\n\r\n`,
  )
  for (let index = 0; index < mebibytes; index++) {
    await new Promise<void>((resolve, reject) =>
      socket.write(fill(index), (error) => (error ? reject(error) : resolve())),
    )
  }
  await answered
  const [answer] = readAnswers(received, 'PUT', false).answers
  if (answer?.status !== 201) throw new Error(`the push ended with ${answer?.status}: ${answer?.body}`)
  socket.destroy()
  return (performance.now() - started) / 1000
}
