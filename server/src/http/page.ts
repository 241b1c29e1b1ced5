/** The `n` and `last` parameters of the list endpoints. */
import { Fault } from '../base/fault.ts'

export interface Page {
  /** How many entries at most; 0 asks for none. */
  readonly limit: number
  /** The entry after which to begin; it need not exist. */
  readonly last: string
}

const defaultLimit = 100
const largestLimit = 1000

/**
 * Reads a page from a query. ACR: 100 entries unless asked, at most 1000, larger wishes cut down silently (seen on the
 * wire). Faults: `pageSizeInvalid` for anything but a whole number ≥ 0.
 */
export function pageOf(query: URLSearchParams): Page {
  return { limit: limitOf(query.get('n')), last: lastOf(query.get('last')) }
}

/** No name holds a NUL, so what comes after `a<NUL>b` is what comes after `a`; and PostgreSQL can be asked that. */
const lastOf = (text: string | null): string => text?.split('\0', 1)[0] ?? ''

function limitOf(text: string | null): number {
  if (text === null) return defaultLimit
  if (!/^\d+$/.test(text)) throw new Fault('pageSizeInvalid', { value: text })
  return Math.min(Number(text), largestLimit)
}
