/** What SQLite says by numbers. */

/** https://www.sqlite.org/rescode.html */
export const sqliteCodes = { busy: 5, ioError: 10, corrupt: 11, full: 13, notADatabase: 26 } as const

/** The primary result code: the low byte of SQLite's extended ones. Undefined for errors that are not SQLite's. */
export function sqliteCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}
