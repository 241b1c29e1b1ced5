/** Many items of the same work, several at a time. */

/**
 * The results in the order of the items; at most `most` are under way at once. After a failure nothing more is begun; rejects
 * with the first one when all that was under way has ended, so that nobody works on what the caller gives back then.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  most: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const left = items.entries()
  let failure: { readonly error: unknown } | undefined
  const worker = async () => {
    for (const [index, item] of left) {
      if (failure !== undefined) return
      try {
        results[index] = await work(item)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker))
  if (failure !== undefined) throw failure.error
  return results
}
