/** The short form of the campaign; `npm run crowd` is the long one, which also waits for what is cut after a minute. */
import test from 'node:test'
import { randomSeed } from '../fuzz/random.ts'
import { assertClean } from '../report.ts'
import { runCrowd } from './crowd.ts'

const seed = Number(process.env.CROWD_SEED ?? randomSeed())

test(`400 idle connections, 20 slow senders, 20 slow readers › others are served, memory stays, silence is cut (seed ${seed})`, async (context) => {
  assertClean(
    context,
    await runCrowd({
      ...{ seed, workers: 2, idlers: 400, senders: 20, readers: 20, blobMebibytes: 30 },
      ...{ holdSeconds: 8, patienceSeconds: 31 },
    }),
  )
})
