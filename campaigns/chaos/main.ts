/**
 * `npm run chaos -- [--rounds 1000] [--seed 1] [--workers 2] [--pushers 8] [--gc on|off] [--tidy 150]`: the long form of the
 * campaign. With `--gc on` garbage is collected all the time; `--tidy`: seconds to wait at the end until all of it is gone.
 */
import { parseArgs } from 'node:util'
import { randomSeed } from '../fuzz/random.ts'
import { endWith } from '../report.ts'
import { runChaos } from './chaos.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: String(randomSeed()) },
    workers: { type: 'string', default: '2' },
    pushers: { type: 'string', default: '8' },
    gc: { type: 'string', default: 'on' },
    tidy: { type: 'string', default: '150' },
  },
})
console.log(`seed ${values.seed}`)
endWith(
  await runChaos({
    seed: Number(values.seed),
    rounds: Number(values.rounds),
    workers: Number(values.workers),
    pushers: Number(values.pushers),
    collecting: values.gc === 'on',
    tidySeconds: Number(values.tidy),
    say: console.log,
  }),
)
