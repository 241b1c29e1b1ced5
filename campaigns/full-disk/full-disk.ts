/**
 * Rounds in which several clients push to the started program until its disk is full, in the middle of whatever that
 * interrupts. Refusals are clear, pulls go on, nothing acknowledged suffers, and with room everything works again at once.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fsckProblems } from '../cli.ts'
import { basic, type Client, createClient, type Reply, timed } from '../client.ts'
import { createRandom, type Random } from '../fuzz/random.ts'
import { type Program, prepareProgram } from '../program.ts'
import { formatTimes, type Report, Tally, troubles } from '../report.ts'
import { connectSpread } from '../spread.ts'
import { damagedBlobs, storedUploads } from '../stored.ts'
import { type DiskKind, mountSmallDisk, type SmallDisk } from './disk.ts'
import { type Kept, verifyKept } from './kept.ts'
import { type Pusher, pushImage, pushManifest, Refused } from './pusher.ts'
import { pullUntil } from './reader.ts'
import { resumeHalfDone } from './resume.ts'

export interface FullDiskOptions {
  readonly seed: number
  readonly rounds: number
  readonly workers: number
  readonly pushers: number
  readonly disk: DiskKind
  readonly mebibytes: number
  readonly say?: (line: string) => void
}

/** What is left when a round begins, and what fills the rest. */
const endings: readonly (readonly [title: string, Ending])[] = [
  ['images on the last megabytes', { leave: [500_000, 3_000_000], push: pushImage }],
  ['images on nothing', { leave: [0, 0], push: pushImage }],
  // No bytes for the blob store, so that what does not fit is the database and its log.
  ['manifests on the last kilobytes', { leave: [0, 200_000], push: pushNote }],
  ['manifests on nothing', { leave: [0, 0], push: pushNote }],
]

interface Ending {
  /** Bytes, at least and at most. */
  readonly leave: readonly [number, number]
  readonly push: (pusher: Pusher) => Promise<void>
}

/** How often each client is refused before a round is over. */
const refusals = 3
const mostTries = 500
const noteBytes = 30_000
const problemsEnough = 20

/** Throws `DiskRefused` where the system does not let us mount one. */
export async function runFullDisk(options: FullDiskOptions): Promise<Report> {
  const { seed, rounds, workers, mebibytes } = options
  const started = performance.now()
  const random = createRandom(seed)
  const kept: Kept = {
    ...{ blobs: new Set(), manifests: new Map(), tags: new Map(), refused: new Map() },
    ...{ halfDone: [], tally: new Tally(), problems: [] },
  }
  const { tally, problems } = kept
  const refusalMs: number[] = []
  const noteRefusal = (ms: number, reply: Reply | undefined) => {
    if (reply?.status === 503) refusalMs.push(ms)
  }
  await using program = await prepareProgram({ workers })
  using disk = mountSmallDisk(options.disk, program.dataFolder, program.parentFolder, mebibytes)
  await program.start()
  const authorization = basic(program.username, program.password)
  const clients = await connectSpread(program, authorization, options.pushers + 1)
  const [reader, ...others] = clients as [Client, ...Client[]]
  const pushers = others.map((other, index) => ({
    client: timed(other, noteRefusal),
    repository: `full/p${index}`,
    random: random.fork(),
    kept,
  }))
  for (const pusher of pushers) await pushImage(pusher)

  for (let round = 1; round <= rounds && problems.length < problemsEnough; round++) {
    const [ending, { leave, push }] = endings[round % endings.length]!
    disk.fill(random.between(...leave))
    await untilRefused({ program, reader, pushers, push, kept, random })
    tally.add(`rounds, ${ending}`)
    await verifyKept(reader, kept, `round ${round}, ${ending}, full`)
    disk.makeRoom()
    for (const pusher of pushers) await mustSucceed(pusher, `round ${round}, ${ending}, with room again`)
    await resumeHalfDone(reader, kept)
    await verifyKept(reader, kept, `round ${round}, ${ending}, with room again`)
    options.say?.(`round ${round}: ${ending}; ${kept.blobs.size} blobs, ${problems.length} problems`)
  }
  for (const client of clients) client.close()
  const said = problems.length
  await verifyAfterRestart(program, disk, kept)
  problems.push(
    ...(await leftOver(program, disk)),
    ...(await fsckProblems(program)),
    ...troubles(program.log, /"fault":"unavailable"|the disk is full/),
  )
  if (said === 0) problems.push(...tally.missing(leastOf(options)))
  const notes = [`refusals came after ${formatTimes(refusalMs)}`]
  const seconds = (performance.now() - started) / 1000
  return { title: `full ${options.disk}`, seed, seconds, counts: tally.counts, notes, problems }
}

interface Filling {
  readonly program: Program
  readonly reader: Client
  readonly pushers: readonly Pusher[]
  readonly push: (pusher: Pusher) => Promise<void>
  readonly kept: Kept
  readonly random: Random
}

/** All push at once until each has been refused a few times; pulls go on meanwhile. */
async function untilRefused({ program, reader, pushers, push, kept, random }: Filling): Promise<void> {
  const over = new AbortController()
  const pulling = pullUntil(over.signal, { client: reader, host: program.host, kept, random: random.fork() })
  await Promise.all(
    pushers.map(async (pusher) => {
      let refused = 0
      for (let tries = 0; refused < refusals && tries < mostTries; tries++) {
        try {
          await push(pusher)
        } catch (error) {
          if (!(error instanceof Refused)) kept.problems.push(`a push on the full disk: ${(error as Error).message}`)
          refused++
        }
      }
      if (refused < refusals) kept.problems.push(`${mostTries} pushes on a full disk, and ${refused} were refused`)
    }),
  )
  over.abort()
  await pulling
}

/** Another manifest about blobs that are there, large enough that the log of the database has to grow. */
async function pushNote(pusher: Pusher): Promise<void> {
  const { kept, repository, random } = pusher
  const own = [...kept.manifests].filter(([key]) => key.startsWith(`${repository}@`))
  const [, bytes] = random.pick(own)
  const { config, layers } = JSON.parse(bytes.toString('utf8')) as Record<'config', Part> & Record<'layers', Part[]>
  await pushManifest(pusher, bare(config), layers.map(bare), noteBytes)
}

type Part = { readonly digest: string; readonly size: number }
const bare = ({ digest, size }: Part): Part => ({ digest, size })

async function mustSucceed(pusher: Pusher, moment: string): Promise<void> {
  try {
    await pushImage(pusher)
  } catch (error) {
    pusher.kept.problems.push(`${moment}: a push ends with ${(error as Error).message}`)
  }
}

/** Also when there is no room: then it is as good as ever for pulls. */
async function verifyAfterRestart(program: Program, disk: SmallDisk, kept: Kept): Promise<void> {
  disk.fill(0)
  await restart(program, kept, 'full')
  disk.makeRoom()
  await restart(program, kept, 'with room again')
  await program.terminate()
}

async function restart(program: Program, kept: Kept, room: string): Promise<void> {
  const exit = await program.terminate()
  if (exit !== 0) kept.problems.push(`SIGTERM gave ${exit}, ${room}`)
  await program.start()
  const client = createClient(program.port, basic(program.username, program.password))
  await verifyKept(client, kept, `after a restart, ${room}`)
  client.close()
}

/** What was refused may leave nothing that takes room. */
async function leftOver({ dataFolder }: Program, disk: SmallDisk): Promise<string[]> {
  const problems = await damagedBlobs(dataFolder)
  const sizes = await Promise.all(
    (await storedUploads(dataFolder)).map(
      async (name) => (await stat(join(dataFolder, 'blobs', 'uploads', name))).size,
    ),
  )
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  if (bytes > 0) problems.push(`${bytes} bytes of refused uploads are left, and ${disk.freeBytes()} are free`)
  return problems
}

function leastOf({ rounds, pushers }: FullDiskOptions): Record<string, number> {
  const each = Math.floor(rounds / endings.length)
  return {
    ...Object.fromEntries(endings.map(([ending]) => [`rounds, ${ending}`, each])),
    'pulls meanwhile': each,
    'refused: blob in one POST': each,
    'refused in the middle of an upload': each,
    'refused: manifest': 2 * each * pushers,
    'taken: manifest': rounds * pushers,
  }
}
