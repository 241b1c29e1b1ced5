/** The short form of the campaign; `npm run races` is the long one. */
import test from 'node:test'
import { randomSeed } from '../fuzz/random.ts'
import { assertClean } from '../report.ts'
import { runRaces } from './races.ts'

const seed = Number(process.env.RACES_SEED ?? randomSeed())

test(`pushes and mounts against deletions and garbage collection › 500 rounds: what was acknowledged is there, what was deleted is not (seed ${seed})`, async (context) => {
  assertClean(context, await runRaces({ seed, rounds: 500, workers: 2, wave: 100, collecting: true }))
})
