/** Reads nothing but the configuration it is given: starts, says so, waits for a signal, ends in order. */
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
  await serving.drain()
  lock.release()
  log.info({}, 'ended')
  log.flush()
}

interface Serve {
  begin(config: Config, log: FlushedLog): Promise<{ drain(): Promise<void>; kill(): void }>
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
