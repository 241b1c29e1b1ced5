/** Lengths of time as people write them: `30s`, `10m`, `24h`, `7d`. */

const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** In milliseconds; undefined for anything but a whole number and a unit, and for more than a hundred years. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (number === undefined || unit === undefined) return undefined
  const ms = Number(number) * units[unit as keyof typeof units]
  return ms <= 36_525 * units.d ? ms : undefined
}

/** The shortest way to write it exactly; whole seconds are all that can be written. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  for (const unit of ['d', 'h', 'm'] as const) if (ms % units[unit] === 0) return `${ms / units[unit]}${unit}`
  return `${Math.round(ms / units.s)}s`
}
