/** A serving process under `workers.ts`, which sends it the configuration and tells it when to end. */
import { AggregatorRegistry } from 'prom-client'
import { Fault } from '../base/fault.ts'
import { createLog } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import type { FromWorker, ToWorker } from './messages.ts'
import { serve } from './serve.ts'

type MetricsText = { readonly contentType: string; readonly text: string }

const metricsWanted = new Map<number, PromiseWithResolvers<MetricsText>>()
let lastId = 0
/** With the exit code that is set by then. */
let end = async (): Promise<void> => process.exit()

const tell = (message: FromWorker) => process.send?.(message)

process.on('message', (message: ToWorker) => {
  if (message.kind === 'serve') void begin(message.config, Buffer.from(message.ticketKeys, 'base64'))
  else if (message.kind === 'drain') void end()
  else {
    const wanted = metricsWanted.get(message.id)
    metricsWanted.delete(message.id)
    if (message.kind === 'metrics') wanted?.resolve(message)
    else wanted?.reject(new Fault('unavailable', { retryAfterSeconds: 5, reason: 'a worker does not answer' }))
  }
})
// Ctrl+C reaches the whole process group; the first process says when it is time. Without it there is no reason to be.
process.on('SIGINT', () => undefined).on('SIGTERM', () => undefined)
process.once('disconnect', () => void end())
new AggregatorRegistry() // answers the first process when it asks for this worker's metrics

async function begin(config: Config, ticketKeys: Buffer): Promise<void> {
  const log = await createLog(config.log)
  try {
    const serving = await serve(config, log, { ticketKeys, metrics: allMetrics })
    AggregatorRegistry.setRegistries(serving.metrics.registry)
    end = async () => {
      await serving.drain()
      log.flush()
      process.exit(0)
    }
    tell({ kind: 'listening' })
  } catch (error) {
    log.error({ err: error }, 'a worker could not start')
    log.flush()
    tell({ kind: 'failed', reason: (error as Error).message })
    process.exitCode = 1
    process.disconnect?.()
  }
}

/** Asks the first process, which asks every worker, this one included. Fault: `unavailable` when one does not answer. */
function allMetrics(): Promise<MetricsText> {
  const wanted = Promise.withResolvers<MetricsText>()
  lastId += 1
  metricsWanted.set(lastId, wanted)
  tell({ kind: 'metrics-wanted', id: lastId })
  return wanted.promise
}
