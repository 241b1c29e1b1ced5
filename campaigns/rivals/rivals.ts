/**
 * Rounds in which several clients push the same digest, and then point the same tag, at the same moment, over all worker
 * processes. Everybody is answered 201, the tag names one of what was pushed, all of it is whole, and nothing is left over.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { fsckProblems } from '../cli.ts'
import { basic } from '../client.ts'
import { createRandom } from '../fuzz/random.ts'
import { prepareProgram } from '../program.ts'
import { type Report, Tally, troubles } from '../report.ts'
import { connectSpread } from '../spread.ts'
import { damagedBlobs, storedUploads } from '../stored.ts'
import type { Round } from './round.ts'
import { endOneUploadTwice, pushSameBlob } from './same-digest.ts'
import { makeManifests, pushSameTag } from './same-tag.ts'

export interface RivalsOptions {
  readonly seed: number
  readonly rounds: number
  readonly workers: number
  readonly rivals: number
  readonly say?: (line: string) => void
}

const problemsEnough = 20
const tellEvery = 100

export async function runRivals({ seed, rounds, workers, rivals, say }: RivalsOptions): Promise<Report> {
  const started = performance.now()
  const random = createRandom(seed)
  const tally = new Tally()
  const problems: string[] = []
  await using program = await prepareProgram({ workers })
  await program.start()
  const authorization = basic(program.username, program.password)
  const clients = await connectSpread(program, authorization, rivals)
  for (let number = 1; number <= rounds && problems.length < problemsEnough; number++) {
    const home = `rivals/r${number % 10}`
    const wrong = (problem: string) => void problems.push(`round ${number}: ${problem}`)
    const round: Round = {
      ...{ random, clients, tally, wrong },
      repositories: random.chance(0.3) ? [home, `${home}-other`] : [home],
      tag: `t${random.integer(5)}`,
    }
    await playRound(round)
    await nothingUnfinished(program.dataFolder, wrong)
    tally.add('rounds')
    if (number % tellEvery === 0) say?.(`${number} rounds, ${problems.length} problems`)
  }
  for (const client of clients) client.close()
  const exit = await program.terminate()
  if (exit !== 0) problems.push(`SIGTERM gave ${exit}`)
  problems.push(...(await damagedBlobs(program.dataFolder)), ...(await fsckProblems(program)), ...troubles(program.log))
  problems.push(
    ...tally.missing({
      rounds,
      'rival pushes of a digest': rounds * rivals,
      'rival pushes of a tag': rounds * rivals * 2,
      'looks at the tag meanwhile': rounds,
      'rounds in which a tag was seen to move': Math.floor(rounds / 20),
      'rival ends of one upload': Math.floor(rounds / 10),
    }),
  )
  const seconds = (performance.now() - started) / 1000
  return { title: 'rivals', seed, seconds, counts: tally.counts, notes: [], problems }
}

async function playRound(round: Round): Promise<void> {
  const { random, tally } = round
  const layer = Buffer.alloc(random.between(1_000, 300_000), random.bytes(64))
  await pushSameBlob(round, layer)
  const different = await makeManifests(round, layer)
  await pushSameTag(round, different)
  const [first] = different
  if (first === undefined) throw new Error('a round needs a client')
  const same = different.map(({ repository }) => ({ ...first, repository }))
  if (round.repositories.length === 1) await pushSameTag(round, same)
  else await pushSameTag(round, different)
  if (random.chance(0.3)) {
    await endOneUploadTwice(round, Buffer.alloc(random.between(1_000, 100_000), random.bytes(64)))
    tally.add('rival ends of one upload')
  }
}

/** Files of uploads that ended are gone when the answer is there; a look between two files is given a moment. */
async function nothingUnfinished(dataFolder: string, wrong: (problem: string) => void): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    if ((await storedUploads(dataFolder)).length === 0) return
    await pause(50)
  }
  wrong(`left behind in uploads/: ${(await storedUploads(dataFolder)).join(', ')}`)
}
