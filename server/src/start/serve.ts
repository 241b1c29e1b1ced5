/** One serving process: the whole server with `--workers 1`, one of several otherwise. */
import { createApp } from '../app.ts'
import type { FlushedLog } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import { createListener } from '../http/listener.ts'
import { openTls } from '../tls/open-tls.ts'
import { endBroken } from './broken.ts'
import { startJobs } from './jobs.ts'
import { giveBackAfterCrowds } from './memory.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { keysOf } from './prepare.ts'
import { storeMetrics } from './store-metrics.ts'

export interface Serving {
  readonly metrics: Metrics
  /** Refuses new connections, lets running requests finish for so long, then cuts them. */
  drain(): Promise<void>
  /** Nothing of its own: this process ends with its connections. */
  kill(): void
}

/** How long handlers of cut connections are waited for. */
const settleMs = 5_000

/** What several processes behind one port share. */
export interface Shared {
  /** 48 bytes. */
  readonly ticketKeys: Buffer
  /** Prometheus text for every process together. */
  readonly metrics: () => Promise<{ contentType: string; text: string }>
}

export async function serve(config: Config, log: FlushedLog, shared?: Shared): Promise<Serving> {
  const metrics = createMetrics()
  const ownMetrics = async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() })
  const app = await createApp(
    config,
    {
      log,
      keys: await keysOf(config),
      observe: metrics.observe,
      metrics: shared?.metrics ?? ownMetrics,
    },
    {
      onBroken: (error) => endBroken(log, error),
      ownCheckpoints: shared === undefined,
      onStoreCall: storeMetrics(metrics.registry),
    },
  )
  const ticketKeys = shared?.ticketKeys
  const listener = createListener({
    handler: app.handler.handle,
    serve: app.handler.serve,
    log,
    ticketKeys,
    ...(await openTls(config)),
  })
  await listener.listen(config.host, config.port)
  const jobs = startJobs(app, config, log, metrics)
  giveBackAfterCrowds(listener.connections)
  return {
    metrics,
    async drain() {
      const [cut] = await Promise.all([listener.drain(config.drainSeconds * 1000), jobs.stop()])
      if (cut > 0) log.warn({ connections: cut }, 'connections were cut at the end of the drain time')
      // Handlers whose connections were cut still have something to record.
      await Promise.race([app.handler.settled(), new Promise((resolve) => setTimeout(resolve, settleMs).unref())])
      await app.dispose()
    },
    kill: () => undefined,
  }
}
