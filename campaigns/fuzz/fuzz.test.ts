/** The short form of the campaign; `npm run fuzz` is the long one. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { formatWatched, runAgainstProgram } from './against-program.ts'
import { formatResult } from './campaign.ts'
import { randomSeed } from './random.ts'

const seeds = [
  { title: 'a seed that stays', seed: 20_260_101, requests: 5_000 },
  { title: 'a seed that changes', seed: Number(process.env.FUZZ_SEED ?? randomSeed()), requests: 5_000 },
]

for (const { title, seed, requests } of seeds) {
  test(`generated requests › get the protocol's 4xx and nothing else, with ${title} (${seed})`, async (context) => {
    const watched = await runAgainstProgram({ seed, requests, workers: 2 })
    const report = `${formatResult(watched.result)}\n${formatWatched(watched)}`
    context.diagnostic(report)
    assert.equal(watched.result.requests, requests)
    assert.equal(watched.result.failed, 0, report)
    assert.deepEqual(watched.problems, [], report)
  })
}
