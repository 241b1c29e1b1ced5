/** What a crowd of connections took is given back when it has gone, and what its handshakes took while it is there. */
import { systemCalls } from '../base/system-calls.ts'

const lookMs = 2_000
/** Fewer leave some MiB at most, for which nobody should wait. */
const crowd = 250

/** For as long as this process runs, which it does not keep running. */
export function giveBackAfterCrowds(connections: () => number): void {
  const giveBack = systemCalls()?.giveBackMemory
  if (giveBack !== undefined) setInterval(crowdWatch(connections, giveBack), lookMs).unref()
}

/**
 * To be called now and then. Gives back when the number of connections is another one than the last time, not when the same
 * number is always others: what those leave is used again at once.
 */
export function crowdWatch(connections: () => number, giveBack: () => void): () => void {
  let before = connections()
  return () => {
    const now = connections()
    if (Math.abs(now - before) < crowd) return
    before = now
    giveBack()
  }
}
