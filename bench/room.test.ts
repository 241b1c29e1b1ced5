import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { suite, test } from 'node:test'
import { type Case, perSecond } from './case.ts'
import { parseOptions } from './options.ts'
import { neededBytes, requireRoom } from './room.ts'

const aCase = (rest: Partial<Case>): Case => ({
  ...{ name: 'it', title: 'it', unit: perSecond('requests'), needs: [], measure: async () => ({ value: 1 }) },
  ...rest,
})
const everything = [
  aCase({ needs: ['gibibyte', 'tags', 'largeTags'] }),
  aCase({ needs: ['repositories'] }),
  aCase({ writes: true }),
]

suite('the room for a run', () => {
  test('is less for a quick one, for some of the cases, and for fewer registries', () => {
    const whole = neededBytes(everything, 5, parseOptions([]))
    assert.ok(neededBytes(everything, 5, parseOptions(['--quick'])) < whole)
    assert.ok(neededBytes(everything, 1, parseOptions([])) < whole)
    for (const at of everything.keys()) {
      assert.ok(neededBytes(everything.toSpliced(at, 1), 5, parseOptions([])) <= whole, `${at}`)
    }
    assert.ok(neededBytes([aCase({ needs: ['small'] })], 5, parseOptions([])) < whole / 4)
  })

  test('is asked for: without it the error says what is needed and what is there', async () => {
    await requireRoom(tmpdir(), 1)
    await assert.rejects(requireRoom(tmpdir(), 5e18), /needs 5000000000 GB on the disk of \/.*, and \d+ GB are free/)
  })
})
