import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { openTestProcesses } from '../../../test/core.ts'
import { systemClock } from '../../base/clock.ts'
import { paced } from './breath.ts'

suite('transactions at an even pace', () => {
  test('begin one every so often', async () => {
    await using processes = await openTestProcesses(1, systemClock)
    const write = paced(processes[0]!.db, 40)
    const from = performance.now()
    for (let i = 0; i < 5; i++) await write(async () => undefined, {})
    assert.ok(performance.now() - from > 199)
  })

  test('leave the database to the others for three times as long as they held it', async () => {
    await using processes = await openTestProcesses(1, systemClock)
    const write = paced(processes[0]!.db, 1)
    const from = performance.now()
    await write(() => pause(50), {})
    assert.ok(performance.now() - from > 198)
  })

  test('make up for the time that they waited for others', async () => {
    await using processes = await openTestProcesses(1, systemClock)
    const { db } = processes[0]!
    const write = paced(db, 300)
    const other = db.write(() => pause(600))
    const from = performance.now()
    for (let i = 0; i < 3; i++) await write(async () => undefined, {})
    const took = performance.now() - from
    assert.ok(took > 898 && took < 1_300, `${took} ms`)
    await other
  })
})
