/** The short form of the campaign; `npm run chaos` is the long one. */
import test from 'node:test'
import { randomSeed } from '../fuzz/random.ts'
import { assertClean } from '../report.ts'
import { runChaos } from './chaos.ts'

const seed = Number(process.env.CHAOS_SEED ?? randomSeed())

for (const [collecting, rounds, title] of [
  [true, 14, 'with garbage collected all the time'],
  [false, 8, 'without garbage collection'],
] as const) {
  test(`kill -9 in the middle of parallel pushes and deletions, ${title} › ${rounds} rounds: what must be there is, what must not is not, nothing is partial (seed ${seed})`, async (context) => {
    assertClean(context, await runChaos({ seed, rounds, collecting }))
  })
}
