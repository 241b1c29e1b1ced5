/** wrk: as many requests as 32 connections carry, for a while; fewer connections where answers take seconds. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { aptInstall, findProgram } from '../peers/programs.ts'
import { runProgram } from './run-program.ts'

export const wrkConnections = 32
const threads = 2
const script = join(import.meta.dirname, 'wrk.lua')

export interface Load {
  /** `http://127.0.0.1:<port>` or https; certificates are not looked at. */
  readonly url: string
  /** Asked for in turn. */
  readonly paths: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  readonly seconds: number
}

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  /** Of answers, headers included. */
  readonly bytes: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** How many asked at a time: fewer than usual when answers take very long. */
  readonly connections: number
}

let found: Promise<string | { readonly missing: string }> | undefined

/** Its path; installs Debian's package where it may. */
export function findWrk(): Promise<string | { readonly missing: string }> {
  found ??= (async () => {
    const path = await findProgram('wrk')
    if (path !== undefined) return path
    const reason = await aptInstall('wrk')
    return (await findProgram('wrk')) ?? { missing: reason ?? 'wrk is not there after installing it' }
  })()
  return found
}

/** How to ask, from what answers quickly to what takes seconds: longer, then by fewer at a time. */
const plans = [
  { connections: wrkConnections, atLeastSeconds: 0 },
  { connections: wrkConnections, atLeastSeconds: 10 },
  { connections: 4, atLeastSeconds: 10 },
] as const
/** Fewer answers than that say little. */
const fewAnswers = 20

/** Remembers, from one measurement to the next of the same thing, which plan it needs. */
export interface Pace {
  plan: number
  /** Until nothing of an earlier plan is going on any more. */
  rest(): Promise<unknown>
}

/** Throws when an answer was no success, when a connection broke, or when nothing was answered. */
export async function runWrk(load: Load, pace: Pace): Promise<LoadResult> {
  for (; ; pace.plan++) {
    const plan = plans[Math.min(pace.plan, plans.length - 1)]!
    const seconds = Math.max(load.seconds, plan.atLeastSeconds)
    const result = await runOnce({ ...load, seconds }, plan.connections)
    if (result.requests >= fewAnswers) return result
    if (pace.plan < plans.length - 1) {
      await pace.rest()
      continue
    }
    if (result.requests === 0) throw new Error(`not one answer within ${seconds} s`)
    return result
  }
}

async function runOnce({ url, paths, headers, seconds }: Load, connections: number): Promise<LoadResult> {
  const wrk = await findWrk()
  if (typeof wrk !== 'string') throw new Error(wrk.missing)
  const folder = await mkdtemp(join(tmpdir(), 'berth-bench-wrk-'))
  try {
    const list = join(folder, 'paths')
    await writeFile(list, `${paths.join('\n')}\n`)
    const { stdout, stderr, exitCode, hung } = await runProgram(
      wrk,
      [
        ...['-t', String(threads), '-c', String(connections), '-d', `${Math.max(1, Math.round(seconds))}s`],
        // What is slow is measured, not given up.
        ...['--timeout', '120s', '--latency', '-s', script],
        ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
        url + (paths.length === 1 ? paths[0] : ''),
        ...(paths.length === 1 ? [] : ['--', list]),
      ],
      { timeoutSeconds: seconds + 180 },
    )
    const line = stdout.trim().split('\n').at(-1) ?? ''
    if (exitCode !== 0 || hung || !line.startsWith('{'))
      throw new Error(`wrk failed: ${stderr.trim() || stdout.trim()}`)
    return judge(JSON.parse(line) as WrkLine, connections)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface WrkLine {
  readonly requests: number
  readonly microseconds: number
  readonly bytes: number
  readonly p50: number
  readonly p99: number
  readonly badStatus: number
  readonly broken: number
  readonly timeouts: number
}

function judge(line: WrkLine, connections: number): LoadResult {
  const { requests, microseconds, bytes, p50, p99, badStatus, broken, timeouts } = line
  const bad = [
    ...(badStatus > 0 ? [`${badStatus} of ${requests} answers were no success`] : []),
    ...(broken > 0 ? [`${broken} connections broke`] : []),
    ...(timeouts > 0 ? [`${timeouts} requests had no answer in time`] : []),
  ]
  if (bad.length > 0) throw new Error(bad.join(', '))
  return { requests, seconds: microseconds / 1e6, bytes, p50, p99, connections }
}
