import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cutPieces, lengthOf, type Piece, parseSegment, piecesOf, type Segment, segmentName } from './object-session.ts'

const segment = (sequence: number, offset: number, size: number): Segment => ({
  name: segmentName(sequence, offset),
  sequence,
  offset,
  size,
})

describe('segments of a session', () => {
  test('carry sequence and offset in their names, which sort by them', () => {
    const name = segmentName(0x12, 0x345)
    assert.match(name, /^000012-000000000345-[0-9a-f]{8}$/)
    assert.deepEqual(parseSegment(name, 7), { name, sequence: 0x12, offset: 0x345, size: 7 })
    for (const other of ['begun', 'joined-0', `${name}0`, name.toUpperCase().replace('0', 'A'), ''])
      assert.equal(parseSegment(other, 7), undefined)
    const sorted = [segmentName(9, 0), segmentName(10, 0), segmentName(10, 2 ** 40), segmentName(300, 5)]
    assert.deepEqual(sorted.toSorted(), sorted)
  })

  test('each cut what was before them and add their own bytes', () => {
    // What is left, and what came: offset+size of a, b, c.
    const cases: readonly (readonly [string, string])[] = [
      ['', ''],
      ['aaaa', '0+4'],
      ['aabbb', '0+4 2+3'],
      ['aaaabb', '0+4 4+2'],
      ['bb', '0+4 0+2'],
      ['aacc', '0+4 4+4 2+2'],
      ['aa', '0+4 2+0'],
      ['', '0+4 0+0'],
      ['aaaa', '0+4 5+9'], // behind the end
      ['aaccc', '0+4 5+9 2+3'],
    ]
    for (const [wanted, written] of cases) {
      const segments = written
        .split(' ')
        .filter(Boolean)
        .map((text) => text.split('+').map(Number) as [number, number])
      const pieces = piecesOf(segments.map(([offset, size], index) => segment(index, offset, size)))
      const letters = new Map(segments.map((_, index) => [index, 'abcdef'[index] ?? '']))
      const found = pieces.map(({ name, length }) =>
        (letters.get(parseSegment(name, 0)?.sequence ?? -1) ?? '').repeat(length),
      )
      assert.equal(found.join(''), wanted)
      assert.equal(lengthOf(pieces), wanted.length)
    }
  })

  test('say the same as a buffer that is cut and written to, whatever the order', () => {
    let state = 1
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    for (let round = 0; round < 500; round++) {
      let model: string[] = []
      const segments: Segment[] = []
      const contents = new Map<string, string[]>()
      for (let index = 0; index < random(8); index++) {
        const offset = random(model.length + 1)
        const content = Array.from({ length: random(6) }, () => `${index}${random(10)}`)
        const added = segment(index, offset, content.length)
        segments.push(added)
        contents.set(added.name, content)
        model = [...model.slice(0, offset), ...content]
      }
      const bytesOf = (pieces: readonly Piece[]) =>
        pieces.flatMap(({ name, length }) => contents.get(name)?.slice(0, length))
      assert.deepEqual(bytesOf(piecesOf(segments)), model)
      const cut = random(model.length + 1)
      assert.deepEqual(bytesOf(cutPieces(piecesOf(segments), cut)), model.slice(0, cut))
    }
  })
})
