/** Whether registries are still busy with something that nobody waits for any more. */
import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { processesOfGroup, statOf } from '../campaigns/program.ts'
import type { Registry } from './peers/registry.ts'

const sampleMs = 40
/** So many looks one after the other must find nobody at work. */
const quietLooks = 5
const mostSeconds = 60

/**
 * Waits until no thread of these registries wants a processor or the disk: zot walks through its blobs after a start, and
 * whoever takes seconds for an answer goes on with those that the last load did not wait for. Not told by the time that
 * they have used, of which a busy machine may give them none. Answers false after a minute.
 */
export async function atRest(...registries: readonly Registry[]): Promise<boolean> {
  const groups = registries.map(({ group }) => group).filter((group) => group !== undefined)
  const deadline = performance.now() + mostSeconds * 1000
  for (let quiet = 0; quiet < quietLooks; await pause(sampleMs)) {
    if (performance.now() > deadline) return false
    quiet = groups.flatMap(processesOfGroup).some(isAtWork) ? 0 : quiet + 1
  }
  return true
}

function isAtWork(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).some((thread) => /[RD]/.test(statOf(pid, thread)?.[0] ?? ''))
  } catch {
    return false // it has just ended
  }
}
