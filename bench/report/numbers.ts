/** Numbers as people read them. */

export const formatCount = (count: number): string => Math.round(count).toLocaleString('en-US')

/** Three digits that count, and thousands marked. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value >= 100) return formatCount(value)
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(2)
}

/** Of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error('no values')
  const sorted = [...values].sort((one, other) => one - other)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2
}
