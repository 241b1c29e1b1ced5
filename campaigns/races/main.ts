/** `npm run races -- [--rounds 10000] [--wave 100] [--workers 2] [--gc on|off] [--seed 1]`: the long form of the campaign. */
import { parseArgs } from 'node:util'
import { randomSeed } from '../fuzz/random.ts'
import { endWith } from '../report.ts'
import { runRaces } from './races.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10000' },
    wave: { type: 'string', default: '100' },
    workers: { type: 'string', default: '2' },
    gc: { type: 'string', default: 'on' },
    seed: { type: 'string', default: String(randomSeed()) },
  },
})
console.log(`seed ${values.seed}`)
endWith(
  await runRaces({
    seed: Number(values.seed),
    rounds: Number(values.rounds),
    workers: Number(values.workers),
    wave: Number(values.wave),
    collecting: values.gc === 'on',
    say: console.log,
  }),
)
