import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Piece } from './object-session.ts'
import { type PlannedPart, planParts } from './publish-plan.ts'

const limits = { partBytes: 8, minPartBytes: 5, maxCopyBytes: 20, maxParts: 10_000 }

function piecesOf(...lengths: readonly number[]): Piece[] {
  let offset = 0
  return lengths.map((length, index) => {
    const piece = { name: `${index}`, size: length, offset, length }
    offset += length
    return piece
  })
}

const extractsOf = (part: PlannedPart) => (part.kind === 'copied' ? [part.extract] : part.extracts)
const sizeOf = (part: PlannedPart) => extractsOf(part).reduce((sum, { length }) => sum + length, 0)
const format = (plan: readonly PlannedPart[]) =>
  plan.map((part) => {
    const extracts = extractsOf(part).map(({ piece, start, length }) => `${piece.name}:${start}+${length}`)
    return `${part.kind === 'copied' ? 'copy' : 'read'} ${extracts.join(' ')}`
  })

describe('planParts', () => {
  test('copies what may be a part and reads what may not', () => {
    assert.deepEqual(format(planParts(piecesOf(), limits)), [])
    assert.deepEqual(format(planParts(piecesOf(4), limits)), ['read 0:0+4'])
    assert.deepEqual(format(planParts(piecesOf(5, 3), limits)), ['copy 0:0+5', 'read 1:0+3'])
    assert.deepEqual(format(planParts(piecesOf(45), limits)), ['copy 0:0+20', 'copy 0:20+20', 'copy 0:40+5'])
    assert.deepEqual(format(planParts(piecesOf(3, 3, 3), limits)), ['read 0:0+3 1:0+3 2:0+2', 'read 2:2+1'])
  })

  test('reads of a large piece only what the part before it lacks', () => {
    assert.deepEqual(format(planParts(piecesOf(2, 30), limits)), ['read 0:0+2 1:0+3', 'copy 1:3+20', 'copy 1:23+7'])
    assert.deepEqual(format(planParts(piecesOf(2, 6), limits)), ['read 0:0+2 1:0+6'])
  })

  test('does not copy what is in memory', () => {
    const [stored, held] = piecesOf(6, 7)
    assert.deepEqual(format(planParts([stored!, { ...held!, bytes: new Uint8Array(7) }], limits)), [
      'copy 0:0+6',
      'read 1:0+7',
    ])
  })

  test('keeps to the limits and to the order, whatever the pieces', () => {
    let state = 7
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    for (let round = 0; round < 1_000; round++) {
      const pieces = piecesOf(...Array.from({ length: random(9) }, () => 1 + random(random(2) ? 60 : 7)))
      const plan = planParts(pieces, limits)
      const bytes = plan
        .flatMap(extractsOf)
        .flatMap(({ piece, start, length }) => Array.from({ length }, (_, index) => piece.offset + start + index))
      assert.deepEqual(bytes, [...bytes.keys()])
      assert.equal(
        bytes.length,
        pieces.reduce((sum, { length }) => sum + length, 0),
      )
      for (const [index, part] of plan.entries()) {
        const size = sizeOf(part)
        assert.ok(size <= (part.kind === 'copied' ? limits.maxCopyBytes : limits.partBytes), format(plan).join())
        assert.ok(index === plan.length - 1 || size >= limits.minPartBytes, format(plan).join())
      }
    }
  })
})
