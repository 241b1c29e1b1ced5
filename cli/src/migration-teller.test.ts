import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Progress } from '@berth/server/core/migration/run.ts'
import { formatSeconds, MigrationTeller } from './migration-teller.ts'

function aTeller(isTTY: boolean) {
  const written: string[] = []
  let now = 0
  const stream = { isTTY, columns: 80, write: (text: string) => written.push(text) > 0 }
  const teller = new MigrationTeller(stream, () => now)
  const progress: Progress = { stage: 'blobs', round: 1, blobs: 0, bytes: 0, rows: 0, bytesToCopy: 100_000_000 }
  return {
    written,
    at: (seconds: number, change: Partial<Progress>) => {
      now = seconds * 1000
      teller.tell({ ...progress, ...change })
    },
  }
}

suite('what berth migrate says meanwhile', () => {
  test('where there is no terminal › a line for each stage, and one every half minute', () => {
    const { written, at } = aTeller(false)
    at(0, {})
    for (let second = 1; second < 65; second++) at(second, { blobs: second, bytes: second * 1_000_000 })
    at(65, { stage: 'rows' })
    at(66, { stage: 'rows', rows: 5 })
    at(70, { round: 2, bytesToCopy: 0 })
    at(71, { stage: 'rows', round: 2 })
    at(72, { stage: 'rest' })
    at(73, { stage: 'verification' })
    assert.deepEqual(written, [
      'Copying blobs.\n',
      '  30 blobs, 30.0 MB of 100.0 MB, 1.0 MB/s, 70 s left\n',
      '  60 blobs, 60.0 MB of 100.0 MB, 1.0 MB/s, 40 s left\n',
      'Copying names, manifests and the like.\n',
      'Copying what came meanwhile (round 2).\n',
      'Changes are refused from now on; copying the rest.\n',
      'Reading both sides once more.\n',
    ])
  })

  test('at a terminal › one line that is written over', () => {
    const { written, at } = aTeller(true)
    at(0, {})
    at(1, { blobs: 2, bytes: 50_000_000 })
    assert.deepEqual(written[0], 'Copying blobs.\n')
    assert.ok(
      written.slice(1).every((text) => text.startsWith('\r')),
      JSON.stringify(written),
    )
    assert.match(written.join(''), / {2}0 blobs, 0 B of 100\.0 MB/)
  })

  test('times are told as people tell them', () => {
    const known = { 0: '0 s', 1.2: '2 s', 89: '89 s', 90: '2 min', 3600: '60 min', 12000: '3 h 20 min' }
    for (const [seconds, text] of Object.entries(known)) assert.equal(formatSeconds(Number(seconds)), text)
  })
})
