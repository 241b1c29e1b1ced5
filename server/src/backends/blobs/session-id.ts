/** What stores call the sessions that they keep; clients know them by other names. */
import { randomBytes } from 'node:crypto'

export const sessionPattern = /^[0-9a-f]{32}$/

export const newSession = (): string => randomBytes(16).toString('hex')
