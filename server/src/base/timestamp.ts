import type { Clock } from './clock.ts'

/** The clock's time as the tables hold it: ISO 8601, UTC, milliseconds. */
export const timestamp = (clock: Clock): string => new Date(clock.now()).toISOString()
