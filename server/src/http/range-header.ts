/** `Range` on downloads (RFC 9110 §14) and `Content-Range` on upload chunks (OCI distribution-spec, "Pushing a blob in chunks"). */

export type RangeRequest =
  /** No range, or one that is to be ignored: several ranges, another unit, or malformed. */
  'whole' | 'unsatisfiable' | { readonly start: number; readonly end: number }

/** Characters. No range that means something has more, and the pattern would take long for many spaces. */
const longestRange = 100

/**
 * size: bytes of the whole representation. Both ends of the result are inclusive and inside it.
 * A malformed range is ignored as the RFC allows; an SDK's retry sends `Range: 17-` and expects 200.
 */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  if (header === undefined || header.length > longestRange) return 'whole'
  const found = /^bytes=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header)
  if (found === null || (found[1] === '' && found[2] === '')) return 'whole'
  if (found[1] === '') {
    const length = Number(found[2])
    if (length === 0 || size === 0) return 'unsatisfiable'
    return { start: Math.max(0, size - length), end: size - 1 }
  }
  // The SDK for Python asks every blob for its first 4 MiB, also an empty one.
  if (size === 0 && found[1] === '0') return 'whole'
  const start = Number(found[1])
  const end = found[2] === '' ? size - 1 : Math.min(Number(found[2]), size - 1)
  // "bytes=500-0" is not valid by the grammar's meaning; the conformance suite wants 416 rather than the whole blob.
  if (start >= size || end < start) return 'unsatisfiable'
  return { start, end }
}

/** `<start>-<end>` without a unit; also `bytes <start>-<end>/<size>`, which generic HTTP clients send. */
export function parseContentRange(header: string): { readonly start: number; readonly end: number } | undefined {
  const found = /^(?:bytes[ =])?\s*(\d{1,16})-(\d{1,16})(?:\/(?:\d{1,16}|\*))?$/.exec(header.trim())
  if (found === null) return undefined
  const start = Number(found[1])
  const end = Number(found[2])
  return Number.isSafeInteger(end) && end >= start ? { start, end } : undefined
}
