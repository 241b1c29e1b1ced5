/** What must be done to a table so that it is like another one: both are read once, side by side. */
import { compareKeys, isSameValue, type Reading, type Row } from './rows.ts'

export interface Differences {
  /** In the source only. */
  readonly missing: readonly Row[]
  /** In both, with other values: as the source has them. */
  readonly changed: readonly Row[]
  /** In the target only. */
  readonly extra: readonly Row[]
  readonly same: readonly Row[]
}

/** So many rows are held at most. */
const batchRows = 500

/** Batches in the order of the key. May be acted upon before the next one is asked for. */
export async function* differencesOf(
  source: AsyncIterable<Row[]>,
  target: AsyncIterable<Row[]>,
  { key, columns }: Pick<Reading, 'key' | 'columns'>,
): AsyncGenerator<Differences, void, undefined> {
  await using one = new Rows(source)
  await using other = new Rows(target)
  const isSame = (a: Row, b: Row) => columns.every((column) => isSameValue(a[column], b[column]))
  for (;;) {
    const batch = { missing: [] as Row[], changed: [] as Row[], extra: [] as Row[], same: [] as Row[] }
    for (let rows = 0; rows < batchRows; rows++) {
      if (one.mustRead) await one.read()
      if (other.mustRead) await other.read()
      const [a, b] = [one.row, other.row]
      if (a === undefined && b === undefined) {
        if (rows > 0) yield batch
        return
      }
      const order = a === undefined ? 1 : b === undefined ? -1 : compareKeys(a, b, key)
      if (order <= 0) one.next()
      if (order >= 0) other.next()
      if (a !== undefined && order < 0) batch.missing.push(a)
      else if (b !== undefined && order > 0) batch.extra.push(b)
      else if (a !== undefined && b !== undefined) (isSame(a, b) ? batch.same : batch.changed).push(a)
    }
    yield batch
  }
}

/** Pages as single rows, without a promise for each. */
class Rows implements AsyncDisposable {
  readonly #pages: AsyncIterator<Row[]>
  #page: readonly Row[] = []
  #at = 0
  #ended = false

  constructor(pages: AsyncIterable<Row[]>) {
    this.#pages = pages[Symbol.asyncIterator]()
  }

  get mustRead(): boolean {
    return this.#at >= this.#page.length && !this.#ended
  }

  /** Undefined behind the last one, and where the next page must be read first. */
  get row(): Row | undefined {
    return this.#page[this.#at]
  }

  next(): void {
    this.#at++
  }

  async read(): Promise<void> {
    const { value, done } = await this.#pages.next()
    if (done === true) this.#ended = true
    else [this.#page, this.#at] = [value, 0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pages.return?.()
  }
}
