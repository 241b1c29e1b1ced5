import { createHash } from 'node:crypto'
import { hostname } from 'node:os'

/**
 * What this server and its workers are called among those on the same database; the same after a restart. One server has
 * a data folder, and one machine a name.
 */
export function nodeName(dataFolder: string): string {
  return createHash('sha256').update(`${hostname()}\0${dataFolder}`).digest('hex').slice(0, 16)
}
