/** How pieces of objects become one object, copied within the store where it allows that and through our memory else. */
import type { Piece } from './object-session.ts'
import type { ObjectLimits } from './object-store.ts'

/** `length` bytes of a piece from `start` on. */
export interface Extract {
  readonly piece: Piece
  readonly start: number
  readonly length: number
}

export type PlannedPart =
  | { readonly kind: 'copied'; readonly extract: Extract }
  /** Read and uploaded again: extracts that are too small to be parts, at most `partBytes` together. */
  | { readonly kind: 'gathered'; readonly extracts: readonly Extract[] }

/** Parts in order. Only the last one may be smaller than `minPartBytes`. */
export function planParts(
  pieces: readonly Piece[],
  { partBytes, minPartBytes, maxCopyBytes }: ObjectLimits,
): PlannedPart[] {
  const parts: PlannedPart[] = []
  let extracts: Extract[] = []
  let gathered = 0
  const endGathered = () => {
    if (gathered > 0) parts.push({ kind: 'gathered', extracts })
    extracts = []
    gathered = 0
  }
  for (const piece of pieces) {
    for (let start = 0; start < piece.length; ) {
      const left = piece.length - start
      const copyable = piece.bytes === undefined && left >= minPartBytes
      if (copyable && (gathered === 0 || gathered >= minPartBytes)) {
        endGathered()
        const extract = { piece, start, length: Math.min(left, maxCopyBytes) }
        parts.push({ kind: 'copied', extract })
        start += extract.length
        continue
      }
      // Of a large piece only as much as makes the part before it large enough, if the rest can be copied then.
      const lacking = minPartBytes - gathered
      const wanted = copyable && left - lacking >= minPartBytes ? lacking : partBytes - gathered
      const extract = { piece, start, length: Math.min(left, wanted) }
      extracts.push(extract)
      gathered += extract.length
      start += extract.length
      if (gathered === partBytes) endGathered()
    }
  }
  endGathered()
  return parts
}
