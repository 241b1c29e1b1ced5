/** How many values one query names: SQLite and PostgreSQL both limit the parameters of a statement. */
const batchSize = 500

/** The items in their order, a few hundred at a time. */
export function* batches<T>(items: readonly T[]): Generator<T[], void, undefined> {
  for (let start = 0; start < items.length; start += batchSize) yield items.slice(start, start + batchSize)
}
