/** Reads nothing but the configuration it is given: starts, says so, waits for a signal, ends in order. */
import { setTimeout as pause } from 'node:timers/promises'
import { createLog, type FlushedLog } from './base/log.ts'
import type { Config } from './config/config.ts'
import { greetingOf } from './start/greeting.ts'
import { prepare } from './start/prepare.ts'
import { forkWorkers } from './start/workers.ts'

export { StartError } from './start/start-error.ts'

/**
 * Serves until SIGTERM or SIGINT, then lets running requests finish for `drainSeconds` and resolves. A second signal ends
 * the process at once, with exit code 130. Throws `StartError` when the server cannot start.
 */
export async function startServer(given: Config): Promise<void> {
  const serve = given.workers === 1 ? serveHere() : serveInWorkers(given.workers)
  const { config, notices, lock, ...prepared } = await prepare(given).catch((error: unknown) => {
    serve.dismiss()
    throw error
  })
  const log = await createLog(config.log)
  const serving = await serve.begin(config, log)
  const milliseconds = Math.round(performance.now())
  for (const notice of notices) process.stderr.write(`${notice}\n`)
  process.stderr.write(greetingOf({ config, ...prepared, milliseconds }))
  log.info(
    { host: config.host, port: config.port, domain: config.domain, workers: config.workers, milliseconds },
    'ready',
  )
  await signalled()
  log.info({ drainSeconds: config.drainSeconds }, 'ending')
  void signalled().then(() => {
    serving.kill()
    process.exit(130)
  })
  await endOf(serving, config, log)
  lock.release()
  log.info({}, 'ended')
  log.flush()
}

interface Serving {
  drain(): Promise<void>
  kill(): void
}

/** After the drain time; a process that hangs then, in a disk that does not answer, say, would never end. */
const orderlyEndMs = 10_000
const killedMs = 1_000

/** Whatever it takes: nothing that was acknowledged is lost with a process that is killed. */
async function endOf(serving: Serving, { drainSeconds }: Config, log: FlushedLog): Promise<void> {
  const draining = serving.drain()
  if (await endsWithin(draining, drainSeconds * 1000 + orderlyEndMs)) return
  log.error({}, 'a process does not come to its end, and is killed')
  serving.kill()
  if (await endsWithin(draining, killedMs)) return
  log.flush()
  process.kill(process.pid, 'SIGKILL') // an exit would wait for its threads
}

const endsWithin = (work: Promise<void>, ms: number): Promise<boolean> =>
  Promise.race([work.then(() => true), pause(ms, false, { ref: false })])

interface Serve {
  begin(config: Config, log: FlushedLog): Promise<Serving>
  dismiss(): void
}

/** Loaded only where it is needed: the first of several processes serves nothing. */
function serveHere(): Serve {
  const loading = import('./start/serve.ts')
  return { begin: async (config, log) => (await loading).serve(config, log), dismiss: () => undefined }
}

function serveInWorkers(count: number): Serve {
  const workers = forkWorkers(count)
  return { begin: workers.serve, dismiss: workers.dismiss }
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    const received = () => {
      process.off('SIGTERM', received).off('SIGINT', received)
      resolve()
    }
    process.on('SIGTERM', received).on('SIGINT', received)
  })
}
