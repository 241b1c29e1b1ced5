/** What upload sessions are called in URLs. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export interface SessionNames {
  make(): string
  /** Whether the name was given out under this key, however long ago. */
  areOurs(name: string): boolean
}

/**
 * Session names are UUIDs whose last 48 bits are a keyed checksum of the rest: a name that was given out once is told from
 * an invented one without keeping its row.
 */
export function sessionNames(key: Uint8Array): SessionNames {
  const checksum = (head: Buffer) => createHmac('sha256', key).update(head).digest().subarray(0, 6)
  return {
    make() {
      const head = randomBytes(10)
      head[6] = 0x80 | ((head[6] ?? 0) & 0x0f)
      head[8] = 0x80 | ((head[8] ?? 0) & 0x3f)
      const hex = Buffer.concat([head, checksum(head)]).toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    },
    areOurs(name) {
      if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name)) return false
      const bytes = Buffer.from(name.replaceAll('-', ''), 'hex')
      return timingSafeEqual(checksum(bytes.subarray(0, 10)), bytes.subarray(10))
    },
  }
}
