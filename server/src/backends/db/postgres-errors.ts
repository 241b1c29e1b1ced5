/** What went wrong, by the codes of PostgreSQL and of the network; PostgreSQL documentation, "Error Codes". */
import pg from 'pg'
import { diskFull } from '../../base/disk-full.ts'
import { Fault } from '../../base/fault.ts'

/** The server's own error code, five characters; undefined for errors of ours and of the network. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

/** Two transactions could not both be: the one that was told so may be tried again as a whole. */
export function isConflict(error: unknown): boolean {
  const code = codeOf(error)
  return code === '40001' || code === '40P01'
}

/** Two transactions made the same key, and the server noticed that before it noticed their conflict; or it is a bug. */
export function isDuplicate(error: unknown): boolean {
  return codeOf(error) === '23505'
}

/** Another program has changed a table under a prepared statement; prepared anew, it works. */
export function isStalePlan(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '0A000' && error.routine === 'RevalidateCachedQuery'
}

/** By code, or by its first two characters: what passes without anybody changing our program. */
const passing: Readonly<Record<string, string>> = {
  '08': 'the connection to the database was lost',
  '25006': 'the database takes no writes',
  '25P03': 'the database gave up a transaction that stood still',
  '25P04': 'the database gave up a transaction that took too long',
  53: 'the database is out of resources',
  '55P03': 'the database is locked',
  57014: 'the database took too long',
  '57P': 'the database is shutting down or starting',
  58: "the database's disk fails",
}

/** Turns what passes by itself into `unavailable`, with the original as cause; returns the rest as it is. */
export function faultOfPostgres(error: unknown): unknown {
  const code = codeOf(error)
  if (code === undefined) return error
  if (code === '53100') return diskFull(error)
  const reason = passing[code] ?? passing[code.slice(0, 3)] ?? passing[code.slice(0, 2)]
  return reason === undefined ? error : unavailable(reason, error)
}

export function unavailable(reason: string, cause: unknown, retryAfterSeconds = 5): Fault<'unavailable'> {
  return new Fault('unavailable', { retryAfterSeconds, reason }, { cause })
}

const absent = new Set<unknown>([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
])

/**
 * Whether a connection that could not be made may be had a little later without anybody doing anything: the server is not
 * started yet, or its name not known yet. A wrong password or database is for somebody to put right.
 */
export function mayComeYet(error: unknown): boolean {
  const code = codeOf(error)
  if (code !== undefined) return /^(?:08|53|57P)/.test(code)
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError) return error.errors.every(mayComeYet)
  const system = 'code' in error ? error.code : undefined
  if (system === 'ENOENT') return 'syscall' in error && error.syscall === 'connect'
  return absent.has(system) || /^(?:timeout expired|Connection terminated)/.test(error.message)
}

/** One sentence for an operator. Where a name stands for several addresses, Node gives an error for each and none for all. */
export function sentenceOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return sentenceOf(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  if (/does not support SSL/.test(error.message)) {
    return 'the server does not speak TLS; if the network on the way to it is trusted, add ?sslmode=disable'
  }
  return error.message
}
