import assert from 'node:assert/strict'
import { test } from 'node:test'
import { race } from '../../../../test/collection-race.ts'
import { openTestProcesses } from '../../../../test/core.ts'
import { onPostgreSql } from '../../../../test/database.ts'
import { systemClock } from '../../../base/clock.ts'

// On PostgreSQL a collection that meets pushes everywhere begins again and again, so they meet less often there.
const options = onPostgreSql
  ? { rounds: 100, collected: 10, clients: 1, blobs: 40 }
  : { rounds: 300, collected: 10, clients: 2, blobs: 10 }

test('pushes, mounts and deletes race collections without grace, in three processes, and nothing is lost', async () => {
  await using processes = await openTestProcesses(3, systemClock)
  const { pushed, mounted, blobsCollected } = await race(processes, options)
  assert.ok(pushed >= options.rounds)
  assert.ok(mounted > 10, `${mounted} mounts`)
  assert.ok(blobsCollected >= 10, `${blobsCollected} blobs were collected meanwhile`)
})
