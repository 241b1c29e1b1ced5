/**
 * What a session is made of in an object store: objects that never change.
 *
 *     uploads/<session>/begun                             there is such a session
 *     uploads/<session>/<sequence>-<offset>-<random>      bytes that the append of that number put at that offset
 *
 * Played in the order of their names, each segment cuts the session to its offset and adds its own bytes. So an append
 * needs no state but a listing, a cut needs no byte to be read, and whoever hashed some segments knows that the same
 * names hold the same bytes. docs/decisions/0014 says why.
 */
import { randomBytes } from 'node:crypto'

export const begun = 'begun'

export interface Segment {
  readonly name: string
  readonly sequence: number
  readonly offset: number
  /** Bytes. */
  readonly size: number
}

/** The first `length` bytes of an object, or bytes that are in memory only. */
export interface Piece {
  /** Empty for bytes in memory. */
  readonly name: string
  /** Of the whole object. */
  readonly size: number
  /** Where its first byte lies in the session. */
  readonly offset: number
  readonly length: number
  readonly bytes?: Uint8Array
}

const namePattern = /^([0-9a-f]{6})-([0-9a-f]{12})-[0-9a-f]{8}$/

/** Sorts by sequence, then by offset. */
export function segmentName(sequence: number, offset: number): string {
  const random = randomBytes(4).toString('hex')
  return `${sequence.toString(16).padStart(6, '0')}-${offset.toString(16).padStart(12, '0')}-${random}`
}

/** Undefined for a name that is none of a segment. */
export function parseSegment(name: string, size: number): Segment | undefined {
  const [, sequence, offset] = namePattern.exec(name) ?? []
  if (sequence === undefined || offset === undefined) return undefined
  return { name, sequence: Number.parseInt(sequence, 16), offset: Number.parseInt(offset, 16), size }
}

/** segments: in ascending order of their names. Returns what is left of them, without gaps, from the first byte on. */
export function piecesOf(segments: readonly Segment[]): Piece[] {
  let pieces: Piece[] = []
  for (const { name, offset, size } of segments) {
    // Behind the end: a writer that had stood still for long and did not know of a cut.
    if (offset > lengthOf(pieces)) continue
    pieces = cutPieces(pieces, offset)
    if (size > 0) pieces.push({ name, size, offset, length: size })
  }
  return pieces
}

/** The pieces that make up the first `length` bytes. */
export function cutPieces(pieces: readonly Piece[], length: number): Piece[] {
  return pieces
    .filter(({ offset }) => offset < length)
    .map((piece) => ({ ...piece, length: Math.min(piece.length, length - piece.offset) }))
}

export function lengthOf(pieces: readonly Piece[]): number {
  const last = pieces.at(-1)
  return last === undefined ? 0 : last.offset + last.length
}
