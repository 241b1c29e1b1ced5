/**
 * A crowd that holds connections and does hardly anything with them, while ordinary clients go on. The server must serve
 * those as ever, stay small, cut who keeps silent when it said it would, and have nothing left of the crowd afterwards.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { basic, type Client, createClient, pushBlob } from '../client.ts'
import { createRandom, type Random } from '../fuzz/random.ts'
import { openFilesOf, raiseOpenFiles, timesOpen } from '../open-files.ts'
import { memoryOfGroup, type Program, prepareProgram, processesOfGroup } from '../program.ts'
import { type Report, Tally, troubles } from '../report.ts'
import { openIdlers } from './idlers.ts'
import { startOrdinary } from './ordinary.ts'
import { type LargeBlob, startReaders } from './readers.ts'
import { startSenders } from './senders.ts'

export interface CrowdOptions {
  readonly seed: number
  readonly workers: number
  readonly idlers: number
  readonly senders: number
  readonly readers: number
  readonly blobMebibytes: number
  /** How long all of them are there together. */
  readonly holdSeconds: number
  /** How long the server is waited for to cut connections; those that it may keep for longer are not judged. */
  readonly patienceSeconds: number
  readonly say?: (line: string) => void
}

/** What a process may hold, in MiB. */
const memoryBound = 200
const sampleMs = 250
const tellEveryMebibytes = 10
/** Descriptors that a server may have more than before the crowd. */
const spareFiles = 8
/** What this program and the server need besides the crowd's connections. */
const ownFiles = 500

export async function runCrowd(options: CrowdOptions): Promise<Report> {
  const { seed, workers, say } = options
  const started = performance.now()
  const random = createRandom(seed)
  const tally = new Tally()
  const problems: string[] = []
  const notes: string[] = []
  const idlerCount = Math.min(
    options.idlers,
    raiseOpenFiles(options.idlers + 4 * options.readers + ownFiles) - ownFiles,
  )
  if (idlerCount < options.idlers) {
    notes.push(`${idlerCount} idle connections in place of ${options.idlers}: a process may not open more files here`)
  }
  await using program = await prepareProgram({ workers, flags: ['--drain-seconds', '5'] })
  await program.start()
  const authorization = basic(program.username, program.password)
  const target = { port: program.port, host: program.host, authorization, ca: program.ca }
  const client = createClient(program.port, authorization)
  const blob = await pushLargeBlob(client, program, random, options.blobMebibytes)
  client.close()
  const filesBefore = await settledFiles(program)
  const memory = watchMemory(program, say)

  const ordinary = await startOrdinary(target, random.fork())
  const readers = startReaders({
    ...{ target, blob, count: options.readers, random: random.fork() },
    timesOpen: () => sum(processesOfGroup(program.pid).map((pid) => timesOpen(pid, blob.file))),
  })
  const senders = startSenders(target, options.senders, random.fork())
  const idlers = openIdlers(target, idlerCount)
  await idlers.opened
  notes.push(`${idlers.alive()} idle connections were there at one time`)
  say?.(`${idlers.alive()} idle connections are there; memory ${memory.text()}`)
  for (let second = 0; second < options.holdSeconds; second++) {
    await pause(1_000)
    if (second % 10 === 9) say?.(`${second + 1} s: ${idlers.alive()} idle connections; memory ${memory.text()}`)
  }
  const ends = await Promise.all([
    idlers.end(options.patienceSeconds * 1_000),
    readers.end(options.patienceSeconds * 1_000),
    senders.finish(),
  ])
  say?.(`the crowd is gone; memory ${memory.text()}`)
  const served = await ordinary.stop()
  memory.stop()
  for (const end of [...ends, served]) {
    problems.push(...end.problems)
    if ('notes' in end) notes.push(...end.notes)
    if ('counts' in end) for (const [name, times] of Object.entries(end.counts)) tally.add(name, times)
  }
  for (const [name, times] of Object.entries(idlers.counts())) tally.add(name, times)
  notes.push(`most memory of a process: ${memory.most().toFixed(0)} MiB (bound: ${memoryBound})`)
  if (memory.most() > memoryBound) problems.push(`a process held ${memory.most().toFixed(0)} MiB: ${memory.text()}`)

  problems.push(...leftovers(program, filesBefore, await settledFiles(program, filesBefore)))
  const exit = await program.terminate()
  if (exit !== 0) problems.push(`SIGTERM gave ${exit}`)
  problems.push(...troubles(program.log))
  problems.push(
    ...tally.missing({
      'idle connections': idlerCount,
      'slow readers': options.readers / 2,
      'readers that stand still': Math.floor(options.readers / 2),
      'bytes read slowly': options.readers * options.holdSeconds * 500,
      'slow uploads taken': Math.floor(options.senders * 0.9),
      'bytes sent one by one': (options.senders * options.holdSeconds) / 10,
      ...Object.fromEntries(
        ['pull', 'push', 'lists'].map((name) => [`ordinary errands, ${name}`, options.holdSeconds / 4]),
      ),
    }),
  )
  const seconds = (performance.now() - started) / 1000
  return { title: 'crowd', seed, seconds, counts: tally.counts, notes, problems }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

async function pushLargeBlob(client: Client, { dataFolder }: Program, random: Random, mebibytes: number) {
  const block = Buffer.alloc(1024 * 1024, random.bytes(64 * 1024))
  const digest = await pushBlob(client, 'crowd/large', Buffer.alloc(mebibytes * block.length, block))
  const hex = digest.slice('sha256:'.length)
  return {
    path: `/v2/crowd/large/blobs/${digest}`,
    size: mebibytes * block.length,
    block,
    file: join(dataFolder, 'blobs', 'sha256', hex.slice(0, 2), hex),
  } satisfies LargeBlob & { file: string }
}

/** Also tells each new high, so that one can see what brought it about. */
function watchMemory({ pid }: Program, say: (line: string) => void = () => undefined) {
  const started = performance.now()
  let most = 0
  let told = 0
  let newest: number[] = []
  const look = () => {
    newest = memoryOfGroup(pid).map(({ resident }) => resident)
    most = Math.max(most, ...newest)
    if (most < told + tellEveryMebibytes) return
    told = most
    say(`${((performance.now() - started) / 1000).toFixed(0)} s: memory ${text()}`)
  }
  const text = () => `${newest.map((mebibytes) => mebibytes.toFixed(0)).join(' + ')} MiB`
  look()
  const timer = setInterval(look, sampleMs)
  return { most: () => most, text, stop: () => clearInterval(timer) }
}

/** How many descriptors each process has, once that stands still, or is back at what it was. */
async function settledFiles({ pid }: Program, before?: ReadonlyMap<number, number>): Promise<Map<number, number>> {
  const look = () => new Map(processesOfGroup(pid).map((process) => [process, openFilesOf(process)]))
  const grown = (files: ReadonlyMap<number, number>) =>
    [...files].some(([process, count]) => count > (before?.get(process) ?? 0) + spareFiles)
  let files = look()
  for (let tries = 0; tries < 40; tries++) {
    await pause(250)
    const next = look()
    const still = [...next].every(([process, count]) => files.get(process) === count)
    files = next
    if (before === undefined ? still : !grown(files)) return files
  }
  return files
}

function leftovers(
  { dataFolder }: Program,
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): string[] {
  const problems: string[] = []
  for (const [pid, count] of after) {
    const earlier = before.get(pid)
    if (earlier === undefined) problems.push('a worker ended and was replaced')
    else if (count > earlier + spareFiles)
      problems.push(`process ${pid} has ${count} open files, ${earlier} before the crowd`)
  }
  const uploads = readdirSync(join(dataFolder, 'blobs', 'uploads'))
  if (uploads.length > 0) problems.push(`${uploads.length} unfinished uploads are left that nobody can resume`)
  return problems
}
