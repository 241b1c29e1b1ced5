/**
 * `npm run crowd -- [--idlers 5000] [--senders 200] [--readers 100] [--mebibytes 100] [--seconds 60] [--workers 2] [--seed 1]`:
 * the long form of the campaign; about four minutes.
 */
import { parseArgs } from 'node:util'
import { randomSeed } from '../fuzz/random.ts'
import { endWith } from '../report.ts'
import { runCrowd } from './crowd.ts'

const { values } = parseArgs({
  options: {
    idlers: { type: 'string', default: '5000' },
    senders: { type: 'string', default: '200' },
    readers: { type: 'string', default: '100' },
    mebibytes: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '60' },
    patience: { type: 'string', default: '150' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(randomSeed()) },
  },
})
console.log(`seed ${values.seed}`)
endWith(
  await runCrowd({
    seed: Number(values.seed),
    workers: Number(values.workers),
    idlers: Number(values.idlers),
    senders: Number(values.senders),
    readers: Number(values.readers),
    blobMebibytes: Number(values.mebibytes),
    holdSeconds: Number(values.seconds),
    patienceSeconds: Number(values.patience),
    say: console.log,
  }),
)
