import assert from 'node:assert/strict'
import { test } from 'node:test'
import { race } from '../../../../test/collection-race.ts'
import { openTestProcesses } from '../../../../test/core.ts'
import { onPostgreSql } from '../../../../test/database.ts'
import { brief } from '../../../../test/integrity.ts'
import { systemClock } from '../../../base/clock.ts'
import { createIntegrityChecker, type Finding } from './check.ts'

// On PostgreSQL a collection that meets pushes everywhere begins again and again, so they meet less often there.
const options = onPostgreSql
  ? { rounds: 60, collected: 0, clients: 1, blobs: 40 }
  : { rounds: 80, collected: 10, clients: 2, blobs: 10 }

test('pushes, mounts, deletes and collections in three processes › a check beside them finds nothing wrong', async () => {
  await using processes = await openTestProcesses(3, systemClock)
  const [checking, ...others] = processes
  assert.ok(checking)
  const checker = createIntegrityChecker(checking.db, checking.store, systemClock)
  const findings: Finding[] = []
  let [checks, repairs, racing] = [0, 0, true]
  const check = async () => {
    while (racing) {
      const repair = checks % 2 === 1
      for await (const finding of checker.check({ repair, uploadExpiryMs: 60_000 })) findings.push(finding)
      checks += 1
      repairs += repair ? 1 : 0
    }
  }
  const storm = race(others, options).finally(() => {
    racing = false
  })
  const [report] = await Promise.all([storm, check()])
  assert.deepEqual(brief(findings), [])
  assert.ok(report.pushed >= options.rounds)
  assert.ok(report.blobsCollected >= options.collected, `${report.blobsCollected} blobs were collected meanwhile`)
  assert.ok(checks > 2 && repairs > 0, `${checks} checks, ${repairs} of them with repair`)
})
