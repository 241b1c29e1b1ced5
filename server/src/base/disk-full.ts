/** Telling a full disk from a bug: it passes once somebody makes room. */
import { Fault } from './fault.ts'

const fullCodes = new Set<unknown>(['ENOSPC', 'EDQUOT'])

/** Turns "no space left" and "quota exceeded" into `unavailable`, with the original as cause; returns the rest as it is. */
export function faultOfDisk(error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return fullCodes.has(code) ? diskFull(error) : error
}

export function diskFull(cause: unknown): Fault<'unavailable'> {
  return new Fault('unavailable', { retryAfterSeconds: 30, reason: 'the disk is full' }, { cause })
}
