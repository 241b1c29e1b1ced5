/** Did you mean …? */

/**
 * The name that is fewest slips of the keyboard away (a letter left out, added, replaced, or two swapped), if they are
 * few. Spelling with `_` or capitals is no slip.
 */
export function closest(word: string, names: readonly string[]): string | undefined {
  const wanted = word
    .replace(/([a-z])([A-Z])/g, '$1-$2')
    .replaceAll('_', '-')
    .toLowerCase()
  const ranked = names.map((name) => ({ name, slips: slipsBetween(wanted, name) })).sort((a, b) => a.slips - b.slips)
  const best = ranked[0]
  return best !== undefined && best.slips <= Math.max(1, Math.floor(best.name.length / 3)) ? best.name : undefined
}

/** Optimal string alignment distance. */
function slipsBetween(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 0; i < from.length; i++) {
    const row = [i + 1]
    for (let j = 0; j < to.length; j++) {
      const replaced = (last[j] ?? 0) + (from[i] === to[j] ? 0 : 1)
      let slips = Math.min(replaced, (last[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1)
      if (i > 0 && j > 0 && from[i] === to[j - 1] && from[i - 1] === to[j])
        slips = Math.min(slips, (beforeLast[j - 1] ?? 0) + 1)
      row.push(slips)
    }
    beforeLast = last
    last = row
  }
  return last.at(-1) ?? 0
}
