/** The short form of the campaign; `npm run rivals` is the long one. */
import test from 'node:test'
import { randomSeed } from '../fuzz/random.ts'
import { assertClean } from '../report.ts'
import { runRivals } from './rivals.ts'

const seed = Number(process.env.RIVALS_SEED ?? randomSeed())

test(`six clients push one digest and one tag at once › 100 rounds: 201 for all, nothing lost, nothing left over (seed ${seed})`, async (context) => {
  assertClean(context, await runRivals({ seed, rounds: 100, workers: 2, rivals: 6 }))
})
