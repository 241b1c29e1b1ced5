/** The short form of the campaign; `npm run chaos` is the long one. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { randomSeed } from '../fuzz/random.ts'
import { formatReport, runChaos } from './chaos.ts'

const seed = Number(process.env.CHAOS_SEED ?? randomSeed())

test(`kill -9 in the middle of parallel pushes › 50 rounds: what was acknowledged is readable, nothing is partial (seed ${seed})`, async (context) => {
  const report = await runChaos({ seed, rounds: 50 })
  context.diagnostic(formatReport(report))
  assert.deepEqual(report.problems, [], formatReport(report))
  assert.ok(report.promised.manifests > 50, formatReport(report))
})
