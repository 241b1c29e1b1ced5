/** What every serving process offers to do in the background; leases see to it that one does. */
import type { Core } from '../app.ts'
import { systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import { collectGarbage } from '../core/jobs/collect-garbage.ts'
import { type RunningJob, sleep, startPeriodic } from '../core/jobs/periodic.ts'
import { scrubBlobs } from '../core/jobs/scrub-blobs.ts'
import { collectionMetrics } from './collection-metrics.ts'
import type { Metrics } from './metrics.ts'
import { scrubMetrics } from './scrub-metrics.ts'

export function startJobs(core: Core, { collection, scrub }: Config, log: Log, metrics: Metrics): RunningJob {
  const { db, collector, scrubber } = core
  const surroundings = { db, clock: systemClock, log }
  const jobs: RunningJob[] = []
  const observe = collectionMetrics(metrics.registry)
  const { intervalMs } = collection
  if (intervalMs !== 'off') {
    const job = collectGarbage({ ...collection, intervalMs }, { ...surroundings, collector, observe })
    jobs.push(startPeriodic(job, surroundings))
  }
  const observeScrub = scrubMetrics(metrics.registry)
  if (scrub.periodMs !== 'off') {
    const job = scrubBlobs(scrub.periodMs, { scrubber, log, observe: observeScrub, wait: sleep })
    jobs.push(startPeriodic(job, surroundings))
  }
  return {
    async stop() {
      await Promise.all(jobs.map((job) => job.stop()))
    },
  }
}
