/** What upload sessions are called in URLs. */
import { createHmac, randomFillSync, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Place } from './place.ts'

/** How long a session may wait for its first request. */
export const firstRequestMinutes = 10
/** Between the clocks of two servers. */
const skewMinutes = 5

export interface SessionName {
  /** When it was given out, in minutes since the epoch. */
  readonly madeIn: number
  /** Whether a session that has no row yet may begin under it. */
  readonly mayBegin: boolean
}

/** Whether it is of the form of a session's name, whoever made it. */
export const isSessionName = (name: string) => namePattern.test(name)

export interface SessionNames {
  make(place: Place): string
  /** Undefined for a name that was never given out under this key for the place. */
  read(name: string, place: Place): SessionName | undefined
}

/** Since the epoch. */
export const thisMinute = (clock: Clock) => Math.floor(clock.now() / 60_000)

const namePattern = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const headBytes = 10
/** Names tell their minute modulo this: 31 years. */
const minuteCycle = 1 << 24

/**
 * Session names are UUIDs (version 8): the minute in 24 bits, 50 random bits, and 48 bits of a keyed checksum of these and
 * the place. So a name that was given out is told from an invented one, and from another repository's, without a row.
 */
export function sessionNames(key: Uint8Array, clock: Clock): SessionNames {
  const checksum = (head: Uint8Array, { registry, repository }: Place) =>
    createHmac('sha256', key).update(head).update(`${registry}\n${repository}`).digest().subarray(0, 6)

  return {
    make(place) {
      const head = Buffer.allocUnsafe(headBytes)
      randomFillSync(head, 3)
      head.writeUIntBE(thisMinute(clock) % minuteCycle, 0, 3)
      head.writeUInt8(0x80 | (head.readUInt8(6) & 0x0f), 6)
      head.writeUInt8(0x80 | (head.readUInt8(8) & 0x3f), 8)
      const hex = Buffer.concat([head, checksum(head, place)]).toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    },

    read(name, place) {
      if (!isSessionName(name)) return undefined
      const bytes = Buffer.from(name.replaceAll('-', ''), 'hex')
      const head = bytes.subarray(0, headBytes)
      if (!timingSafeEqual(checksum(head, place), bytes.subarray(headBytes))) return undefined
      const now = thisMinute(clock)
      const since = (now - bytes.readUIntBE(0, 3) + minuteCycle) % minuteCycle
      const age = since > minuteCycle - 1 - skewMinutes ? since - minuteCycle : since
      return { madeIn: now - age, mayBegin: age <= firstRequestMinutes }
    },
  }
}
