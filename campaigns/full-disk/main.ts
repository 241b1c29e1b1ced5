/**
 * `npm run full-disk -- [--rounds 40] [--disk tmpfs|ext4|both] [--mebibytes 256] [--pushers 6] [--workers 2] [--seed 1]`: the
 * long form of the campaign. It needs the right to mount.
 */
import { parseArgs } from 'node:util'
import { randomSeed } from '../fuzz/random.ts'
import { endWith } from '../report.ts'
import type { DiskKind } from './disk.ts'
import { runFullDisk } from './full-disk.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '40' },
    disk: { type: 'string', default: 'both' },
    mebibytes: { type: 'string', default: '256' },
    pushers: { type: 'string', default: '6' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(randomSeed()) },
  },
})
console.log(`seed ${values.seed}`)
const disks: readonly DiskKind[] = values.disk === 'tmpfs' || values.disk === 'ext4' ? [values.disk] : ['tmpfs', 'ext4']
for (const disk of disks) {
  endWith(
    await runFullDisk({
      seed: Number(values.seed),
      rounds: Number(values.rounds),
      workers: Number(values.workers),
      pushers: Number(values.pushers),
      disk,
      mebibytes: Number(values.mebibytes),
      say: console.log,
    }),
  )
}
