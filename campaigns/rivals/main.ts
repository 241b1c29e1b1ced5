/** `npm run rivals -- [--rounds 2000] [--rivals 6] [--workers 2] [--seed 1]`: the long form of the campaign. */
import { parseArgs } from 'node:util'
import { randomSeed } from '../fuzz/random.ts'
import { endWith } from '../report.ts'
import { runRivals } from './rivals.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2000' },
    rivals: { type: 'string', default: '6' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(randomSeed()) },
  },
})
console.log(`seed ${values.seed}`)
endWith(
  await runRivals({
    seed: Number(values.seed),
    rounds: Number(values.rounds),
    rivals: Number(values.rivals),
    workers: Number(values.workers),
    say: console.log,
  }),
)
