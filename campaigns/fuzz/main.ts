/** `npm run fuzz -- [--requests 1000000] [--seed 1] [--connections 32] [--workers 2]`: the long form of the campaign. */
import { parseArgs } from 'node:util'
import { memoryOfGroup } from '../program.ts'
import { formatWatched, runAgainstProgram } from './against-program.ts'
import { formatResult } from './campaign.ts'
import { randomSeed } from './random.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(randomSeed()) },
    connections: { type: 'string', default: '32' },
    workers: { type: 'string', default: '2' },
  },
})
console.log(`seed ${values.seed}`)
let shown = performance.now()
const watched = await runAgainstProgram({
  seed: Number(values.seed),
  requests: Number(values.requests),
  connections: Number(values.connections),
  workers: Number(values.workers),
  observe(done, pid) {
    if (performance.now() - shown < 10_000) return
    shown = performance.now()
    const mebibytes = memoryOfGroup(pid).map(({ resident }) => resident.toFixed(0))
    console.log(`${done} requests; resident ${mebibytes.join(' + ')} MiB`)
  },
})
console.log(formatResult(watched.result))
console.log(formatWatched(watched))
process.exitCode = watched.result.failed + watched.problems.length > 0 ? 1 : 0
