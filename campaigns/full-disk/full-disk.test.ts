/** The short form of the campaign; `npm run full-disk` is the long one. */
import test from 'node:test'
import { onPostgreSql } from '../../server/test/database.ts'
import { randomSeed } from '../fuzz/random.ts'
import { assertClean } from '../report.ts'
import { DiskRefused } from './disk.ts'
import { runFullDisk } from './full-disk.ts'

const seed = Number(process.env.FULL_DISK_SEED ?? randomSeed())

for (const disk of ['tmpfs', 'ext4'] as const) {
  test(`a full disk (${disk}) › pushes are refused clearly, pulls go on, nothing suffers, room is enough to go on (seed ${seed})`, async (context) => {
    if (onPostgreSql) {
      context.skip('the database is elsewhere, and it is its log that is to meet the full disk')
      return
    }
    try {
      assertClean(context, await runFullDisk({ seed, rounds: 8, workers: 2, pushers: 4, disk, mebibytes: 64 }))
    } catch (error) {
      if (!(error instanceof DiskRefused)) throw error
      context.skip(error.message)
    }
  })
}
