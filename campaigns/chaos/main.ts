/** `npm run chaos -- [--rounds 1000] [--seed 1] [--workers 2] [--pushers 8]`: the long form of the campaign. */
import { parseArgs } from 'node:util'
import { randomSeed } from '../fuzz/random.ts'
import { formatReport, runChaos } from './chaos.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(randomSeed()) },
    workers: { type: 'string', default: '2' },
    pushers: { type: 'string', default: '8' },
  },
})
console.log(`seed ${values.seed}`)
const report = await runChaos({
  seed: Number(values.seed),
  rounds: Number(values.rounds),
  workers: Number(values.workers),
  pushers: Number(values.pushers),
  say: console.log,
})
console.log(formatReport(report))
process.exitCode = report.problems.length > 0 ? 1 : 0
