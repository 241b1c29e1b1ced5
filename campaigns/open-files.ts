/** Descriptors: how many a process may have, and how many it has. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Raises what this process and those it starts may have open, where the system lets us. Returns what they may have then. */
export function raiseOpenFiles(wanted: number): number {
  const limit = openFilesLimit()
  if (limit >= wanted) return limit
  try {
    execFileSync('prlimit', [`--pid=${process.pid}`, `--nofile=${wanted}:${wanted}`], { stdio: 'ignore' })
  } catch {
    return limit // without the right, or without the program: the caller makes do with less
  }
  return openFilesLimit()
}

/** Node raises its soft limit to the hard one when it starts, so the hard one is what counts. */
function openFilesLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '1024'
  return hard === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(hard)
}

export const openFilesOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** How many times a process has a file open. */
export function timesOpen(pid: number, file: string): number {
  return readdirSync(`/proc/${pid}/fd`).filter((name) => targetOf(`/proc/${pid}/fd/${name}`) === file).length
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link)
  } catch {
    return undefined // closed meanwhile
  }
}
