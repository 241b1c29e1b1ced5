/** For long work in many small transactions, so that others hardly notice it. */
import { setTimeout as pause } from 'node:timers/promises'

/** With fifty entries a transaction, a collection still removes more than a thousand blobs a second. */
const leastMs = 15

/** Runs a transaction, then leaves the database to the others for at least three times as long. */
export async function thenBreathe<T>(work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  const result = await work()
  await pause(Math.max(leastMs, 3 * (performance.now() - began)))
  return result
}
