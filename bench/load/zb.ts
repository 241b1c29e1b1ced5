/** zb, the load generator of zot's authors, as it is. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { NotOffered } from '../case.ts'
import { isBerth } from '../peers/berth.ts'
import { findProgram, toolsVariable } from '../peers/programs.ts'
import type { Registry } from '../peers/registry.ts'
import { discardingLayers } from './discard.ts'
import { runProgram } from './run-program.ts'

export const zbConcurrency = 10

export interface ZbResult {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

/**
 * test: the whole name of one of its cases. requests: a multiple of the concurrency, or it waits forever.
 * folder: on the disk; its layers go there. What it has pushed takes no room afterwards. Throws when a request failed.
 */
export async function runZb(
  registry: Registry,
  { test, requests, concurrency = zbConcurrency, folder, timeoutSeconds = 600 }: ZbRun,
): Promise<ZbResult> {
  const zb = await findProgram('zb')
  if (zb === undefined) throw new NotOffered(`no zb in $${toolsVariable} or on PATH`)
  if (requests % concurrency !== 0) throw new Error('zb would wait forever')
  const own = await mkdtemp(join(folder, 'zb-'))
  const { credentials } = registry
  try {
    const { stdout, stderr, hung } = await discardingLayers(registry, () =>
      runProgram(
        zb,
        [
          ...['-c', String(concurrency), '-n', String(requests), '-t', `^${test}$`, '-d', join(own, 'layers')],
          // Its clean-up deletes manifests within the measured time; repositories sort after all others.
          ...['--skip-cleanup', '-r', 'zb'],
          ...(credentials === undefined ? [] : ['-A', `${credentials.username}:${credentials.password}`]),
          registry.url,
        ],
        { timeoutSeconds, cwd: own },
      ),
    )
    if (hung) throw new Error('zb hangs')
    return parseZb(stdout, stderr)
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

interface ZbRun {
  readonly test: string
  readonly requests: number
  readonly concurrency?: number
  readonly folder: string
  readonly timeoutSeconds?: number
}

/** Reads its report. Exported for its test. */
export function parseZb(stdout: string, stderr: string): ZbResult {
  const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(stdout)?.[1]
  const failed = field('Failed requests')
  if (failed === undefined) throw new Error(`zb failed: ${stderr.trim().split('\n').at(-1) || 'without a word'}`)
  if (failed !== '0') throw new Error(`${failed} of zb's requests failed`)
  const perSecond = Number(field('Requests per second'))
  return { perSecond, p50: parseDuration(field('p50')), p99: parseDuration(field('p99')) }
}

/** Go's way to write durations (`1m2.5s`, `3.2ms`, `80µs`), in milliseconds. */
export function parseDuration(text: string | undefined): number {
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, µs: 1e-3, ns: 1e-6 }
  const parts = [...(text ?? '').matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|µs|ns)/g)]
  if (parts.length === 0) throw new Error(`zb says a duration that is none: ${text}`)
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? Number.NaN), 0)
}

/** It waits forever for the figures of a push that did not succeed. */
const tryingSeconds = 20
const known = new Map<string, Promise<void>>()

/** Stock zb drops the query of an upload's Location and sends no Accept, which not every registry forgives: one try tells. */
export async function requireZb(registry: Registry, kind: 'push' | 'chunks' | 'pull', folder: string): Promise<void> {
  if (kind === 'pull') await requireZb(registry, 'push', folder) // a pull begins with a push
  const test = { push: 'Push Monolith 1MB', chunks: 'Push Chunk Streamed 1MB', pull: 'Pull 1MB' }[kind]
  const key = `${registry.url} ${kind}`
  let tried = known.get(key)
  if (tried === undefined) {
    tried = tryZb(registry, test, folder)
    known.set(key, tried)
  }
  return tried
}

async function tryZb(registry: Registry, test: string, folder: string): Promise<void> {
  try {
    await runZb(registry, { test, requests: 1, concurrency: 1, folder, timeoutSeconds: tryingSeconds })
  } catch (error) {
    if (error instanceof NotOffered || isBerth(registry)) throw error
    throw new NotOffered('does not work with zb', { cause: error })
  }
}
