/**
 * What a database answered, for as long as nothing in it changes: a registry that is mostly pulled from is asked the same few
 * questions all the time, and SQLite tells in one of them whether any process has committed since.
 */
import { BoundedCache } from '../../base/bounded-cache.ts'

/** Bytes of all answers, about. */
const keptBytes = 2 * 1024 * 1024
/**
 * What is asked once is not kept: of a million tags that are pulled at random each answer would live just long enough to become
 * work for the collector that runs seldom. So many questions are known again, by their hash.
 */
const remembered = 1 << 13
/** Those that are larger are not looked for often enough. */
const largestBytes = 8 * 1024
/** Of an answer and its question, besides what they say. */
const entryBytes = 256
const fieldBytes = 32

type Rows = readonly object[]

interface Answer {
  readonly rows: Rows
  readonly bytes: number
}

export class KnownAnswers {
  #version: unknown
  #answers = emptied()
  /** Outlives the answers, so that after a change those that are asked all the time are kept from the first time on. */
  readonly #askedBefore = new Int32Array(remembered)

  /** version: differs from the one before when anything has changed (`PRAGMA data_version`). */
  areOf(version: unknown): void {
    if (version === this.#version) return
    this.#version = version
    if (this.#answers.size > 0) this.#answers = emptied()
  }

  /** query: a number of its own for each query. Rows that are kept are frozen: several requests have them in common. */
  get(query: number, parameters: readonly unknown[], ask: () => Rows): Rows {
    const key = keyOf(query, parameters)
    if (key === undefined) return ask()
    const known = this.#answers.get(key)
    if (known !== undefined) return known.rows
    const rows = ask()
    if (!this.#wasAsked(key)) return rows
    const bytes = bytesOf(rows) + 2 * key.length
    if (bytes > largestBytes) return rows
    for (const row of rows) Object.freeze(row)
    this.#answers.set(key, { rows: Object.freeze(rows), bytes })
    return rows
  }

  #wasAsked(key: string): boolean {
    const hash = hashOf(key)
    const place = hash & (remembered - 1)
    if (this.#askedBefore[place] === hash) return true
    this.#askedBefore[place] = hash
    return false
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5 | 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}

const emptied = () => new BoundedCache<string, Answer>(keptBytes, ({ bytes }) => bytes)

/** Unlike for every other list of parameters; undefined for what is none of text and number. */
function keyOf(query: number, parameters: readonly unknown[]): string | undefined {
  let key = String(query)
  for (const value of parameters) {
    if (typeof value === 'string') key += ` ${value.length}:${value}`
    else if (typeof value === 'number') key += ` ${value}`
    else return undefined
  }
  return key
}

function bytesOf(rows: Rows): number {
  let bytes = entryBytes
  for (const row of rows) {
    for (const value of Object.values(row)) {
      bytes += fieldBytes
      if (typeof value === 'string') bytes += 2 * value.length
      else if (value instanceof Uint8Array) bytes += value.length
    }
  }
  return bytes
}
