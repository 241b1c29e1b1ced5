/** How many values one query names: SQLite and PostgreSQL both limit the parameters of a statement. */
const batchSize = 500

/** The items in their order, so many at a time. */
export function* batches<T>(items: readonly T[], size = batchSize): Generator<T[], void, undefined> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
