/** From the text that PostgreSQL sends to the values that SQLite gives as well: numbers, strings, bytes. */
import type { CustomTypesConfig } from 'pg'

type Parse = (text: string) => unknown

/** Object ids of types; PostgreSQL source, pg_type.dat. */
const parsers: ReadonlyMap<number, Parse> = new Map<number, Parse>([
  [16, (text) => text === 't'], // boolean, in the system's own tables only
  [17, bytesOf],
  [20, wholeNumber], // bigint
  [21, Number],
  [23, Number],
  [26, Number],
  [1700, wholeNumber], // numeric: what sum() makes of bigint
])

export const postgresTypes: CustomTypesConfig = {
  getTypeParser: ((type: number): Parse => parsers.get(type) ?? String) as CustomTypesConfig['getTypeParser'],
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`the database holds a number that is not exact here: ${text}`)
  return value
}

/** `\x0aff`: the form of bytea since PostgreSQL 9.0. */
function bytesOf(text: string): Buffer {
  if (!text.startsWith('\\x')) throw new Error('the database sends bytes in a form of old: set bytea_output to hex')
  return Buffer.from(text.slice(2), 'hex')
}
