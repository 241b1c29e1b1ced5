/** The first process with `--workers` above 1: starts the others, watches them, speaks for them. It serves nothing itself. */
import cluster, { type Worker } from 'node:cluster'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { openCheckpoints } from '../backends/open.ts'
import type { FlushedLog, Log } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import { brokenExitCode, endBroken } from './broken.ts'
import type { FromWorker, ToWorker } from './messages.ts'
import { StartError } from './start-error.ts'

/** Workers that load their code while the first process is still preparing what they will serve. */
export interface WaitingWorkers {
  /** Resolves when every worker listens. Throws `StartError` with the first one's reason when it cannot. */
  serve(config: Config, log: FlushedLog): Promise<ServingWorkers>
  /** Ends them before they have served anything. */
  dismiss(): void
}

export interface ServingWorkers {
  /** Tells all to finish; resolves when all have ended. */
  drain(): Promise<void>
  /** Ends them at once. */
  kill(): void
}

/** A worker that dies is replaced after this long, so that one that cannot start does not spin. */
const replaceAfterMs = 500

/**
 * MiB. V8 would let the space for young objects, of which there are three, grow to 16 each; hardly anything survives in it, and half
 * as much holds what a worker makes in some ten milliseconds.
 */
const memoryFlags = ['--max-semi-space-size=8']
/**
 * glibc would let each of a worker's ten threads have a heap of its own, and what one has freed is of no use to the others:
 * 5,000 connections that came and went left some 10 MiB more behind. mallopt(3)
 */
const memoryEnvironment = { MALLOC_ARENA_MAX: '2', ...process.env }

export function forkWorkers(count: number): WaitingWorkers {
  // Every worker accepts for itself. Handed over by the first process, a connection can be lost with a dying worker.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('./worker.ts', import.meta.url)),
    args: [],
    execArgv: [...process.execArgv, ...memoryFlags],
  })
  const waiting = Array.from({ length: count }, () => cluster.fork(memoryEnvironment))
  return {
    serve: (config, log) => serve(waiting, config, log),
    dismiss: killAll,
  }
}

async function serve(waiting: readonly Worker[], config: Config, log: FlushedLog): Promise<ServingWorkers> {
  let draining = false
  const ticketKeys = randomBytes(48).toString('base64')

  async function begin(worker: Worker): Promise<void> {
    const { exitCode, signalCode } = worker.process
    if (worker.isDead()) throw endedEarly(exitCode, signalCode)
    tell(worker, { kind: 'serve', config, ticketKeys })
    return new Promise((resolve, reject) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'listening') resolve()
        else if (message.kind === 'failed') reject(new StartError(message.reason))
        else if (message.kind === 'metrics-wanted') void sendMetrics(worker, message.id, log)
      })
      worker.once('exit', (code, signal) => {
        reject(endedEarly(code, signal))
        if (draining) return
        if (code === brokenExitCode) {
          killAll()
          log.flush()
          process.exit(brokenExitCode)
        }
        log.error({ worker: worker.process.pid, code, signal }, 'a worker ended; starting another')
        setTimeout(() => {
          if (draining) return
          begin(cluster.fork(memoryEnvironment)).catch((error: unknown) =>
            log.error({ err: error }, 'a worker could not be replaced'),
          )
        }, replaceAfterMs)
      })
    })
  }

  try {
    await Promise.all(waiting.map(begin))
  } catch (error) {
    draining = true
    killAll()
    throw error
  }
  const checkpoints = openCheckpoints(config.db, {
    onFailure: (error) => log.warn({ err: error }, 'a checkpoint of the database failed; it is tried again'),
    onBroken(error) {
      killAll()
      endBroken(log, error)
    },
  })
  return {
    async drain() {
      draining = true
      const workers = living()
      const ending = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
      for (const worker of workers) tell(worker, { kind: 'drain' })
      await Promise.all(ending)
      await checkpoints?.stop()
    },
    kill: killAll,
  }
}

const endedEarly = (code: number | null, signal: string | null) =>
  new StartError(`a worker ended before it listened (${signal ?? `exit code ${code}`})`)

async function sendMetrics(worker: Worker, id: number, log: Log): Promise<void> {
  try {
    const { AggregatorRegistry } = await import('prom-client')
    const aggregator = new AggregatorRegistry()
    const text = await aggregator.clusterMetrics()
    tell(worker, { kind: 'metrics', id, contentType: aggregator.contentType, text })
  } catch (error) {
    log.warn({ err: error }, 'the metrics of the workers could not be put together')
    tell(worker, { kind: 'no-metrics', id })
  }
}

const living = (): Worker[] => Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)

function killAll(): void {
  for (const worker of living()) worker.process.kill('SIGKILL')
}

function tell(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message)
}
