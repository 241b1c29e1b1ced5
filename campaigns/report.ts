/** What a campaign tells at its end, and how `npm run <campaign>` and the test of its short form end with it. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

export interface Report {
  readonly title: string
  readonly seed: number
  readonly seconds: number
  /** What was exercised, by name. */
  readonly counts: Readonly<Record<string, number>>
  /** What is worth knowing and is no problem: a line each. */
  readonly notes: readonly string[]
  readonly problems: readonly string[]
}

/** Counts by name, for what happens in many places. */
export class Tally {
  readonly counts: Record<string, number> = {}

  add(name: string, times = 1): void {
    this.counts[name] = (this.counts[name] ?? 0) + times
  }

  /** A campaign that found nothing because it did nothing has a problem: one for each count that is below its least. */
  missing(least: Readonly<Record<string, number>>): string[] {
    return Object.entries(least)
      .filter(([name, times]) => (this.counts[name] ?? 0) < times)
      .map(([name, times]) => `too little was tried: ${this.counts[name] ?? 0} × ${name}, at least ${times} wanted`)
  }
}

const problemsShown = 40

function formatReport({ title, seed, seconds, counts, notes, problems }: Report): string {
  const names = Object.keys(counts).sort()
  return [
    `${title}, seed ${seed}: ${problems.length} problems in ${seconds.toFixed(0)} s`,
    ...names.map((name) => `  ${String(counts[name]).padStart(9)} ${name}`),
    ...notes.map((note) => `  ${note}`),
    ...problems.slice(0, problemsShown).map((problem) => `  PROBLEM ${problem}`),
    ...(problems.length > problemsShown ? [`  … and ${problems.length - problemsShown} more`] : []),
  ].join('\n')
}

/** For a test: shows the report, and fails with it. */
export function assertClean(context: TestContext, report: Report): void {
  const text = formatReport(report)
  context.diagnostic(text)
  assert.deepEqual(report.problems, [], text)
}

/** For `npm run`: shows the report; the exit code tells. */
export function endWith(report: Report): void {
  console.log(formatReport(report))
  if (report.problems.length > 0) process.exitCode = 1
}

const linesShown = 5

/** Lines of the server's log that no campaign should see, but for those that match what it brings about on purpose. */
export function troubles(log: string, expected?: RegExp): string[] {
  const bad = log
    .split('\n')
    .filter((line) => /request failed|a worker ended|"level":(50|60)|UnhandledPromise|Warning:/.test(line))
    .filter((line) => expected?.test(line) !== true)
  if (bad.length === 0) return []
  return [
    `the log has ${bad.length} lines of trouble:`,
    ...bad.slice(0, linesShown).map((line) => line.slice(0, 1_500)),
  ]
}

const distribution = [0.5, 0.99, 1] as const

/** `p50 3, p99 20, most 41 ms`. */
export function formatTimes(milliseconds: readonly number[]): string {
  if (milliseconds.length === 0) return 'none'
  const sorted = [...milliseconds].sort((one, other) => one - other)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  const [p50, p99, most] = distribution.map((share) => at(share).toFixed(0))
  return `p50 ${p50}, p99 ${p99}, most ${most} ms`
}
