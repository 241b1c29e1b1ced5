/** Whether registries are still busy with something that nobody waits for any more. */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { processesOfGroup } from '../campaigns/program.ts'
import type { Registry } from './peers/registry.ts'

/** Of one processor. */
const restShare = 0.15
const sampleMs = 150
const mostSeconds = 60

/**
 * Waits until the processes of these registries use next to no processor: zot walks through its blobs after a start, and
 * whoever takes seconds for an answer goes on with those that the last load did not wait for. Answers false after a
 * minute.
 */
export async function atRest(...registries: readonly Registry[]): Promise<boolean> {
  const groups = registries.map(({ group }) => group).filter((group) => group !== undefined)
  if (groups.length === 0) return true
  const deadline = performance.now() + mostSeconds * 1000
  for (let last = processorSeconds(groups); performance.now() < deadline; ) {
    const from = performance.now()
    await pause(sampleMs)
    const now = processorSeconds(groups)
    if (now - last < (restShare * (performance.now() - from)) / 1000) return true
    last = now
  }
  return false
}

const ticksPerSecond = 100

/** What the processes of these groups have used so far. */
function processorSeconds(groups: readonly number[]): number {
  let ticks = 0
  for (const pid of groups.flatMap(processesOfGroup)) {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
      ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // It ended meanwhile.
    }
  }
  return ticks / ticksPerSecond
}
