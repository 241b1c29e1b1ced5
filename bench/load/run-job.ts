import { join } from 'node:path'
import type { Job, JobResult } from './jobs.ts'
import { runProgram } from './run-program.ts'

const worker = join(import.meta.dirname, 'worker.ts')

/**
 * Runs a job in a process of its own. end: once it resolves, no request is begun any more, whatever time is left.
 * Throws when a request failed, or when nothing was answered.
 */
export async function runJob(job: Job, end?: Promise<unknown>): Promise<JobResult> {
  const { stdout, stderr, exitCode, hung } = await runProgram(process.execPath, [worker, JSON.stringify(job)], {
    timeoutSeconds: job.seconds + 300,
    ...(end === undefined ? {} : { end }),
  })
  if (hung) throw new Error('a request hangs')
  if (exitCode !== 0) throw new Error(/^\w*Error: (.*)$/m.exec(stderr)?.[1] ?? `the load generator failed: ${stderr}`)
  const result = JSON.parse(stdout) as JobResult
  if (result.operations === 0) throw new Error('nothing was answered')
  return result
}
