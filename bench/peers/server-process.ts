/** A registry's process: started on a free port, watched until it answers, ended with everything below it. */
import { get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { processesOfGroup } from '../../campaigns/program.ts'
import { type ProcessGroup, startProcessGroup } from '../../e2e/process-group.ts'

export interface ServerProcess {
  readonly group: number | undefined
  /** Resolves when `GET /v2/` was answered by a 200 or 401. */
  start(): Promise<void>
  stop(): Promise<void>
}

const patienceMs = 120_000
const pollMs = 3

export interface ServerOptions {
  /** Besides this process's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** What it writes once it listens to signals, where it answers requests before. */
  readonly greeting?: string
}

/** Not started yet. */
export function serverProcess(
  port: number,
  command: string,
  argumentList: readonly string[],
  { environment = {}, greeting = '' }: ServerOptions = {},
): ServerProcess {
  let running: ProcessGroup | undefined

  async function start(): Promise<void> {
    if (running !== undefined) throw new Error(`${command} is running already`)
    const started = startProcessGroup(command, argumentList, { ...process.env, ...environment })
    running = started
    let ended: number | string | undefined
    void started.exited.then((how) => {
      ended = how
    })
    const deadline = performance.now() + patienceMs
    while (!(await answers(port))) {
      if (ended !== undefined || performance.now() > deadline) {
        await started.kill()
        running = undefined
        throw new Error(
          `${command} ${ended === undefined ? 'does not answer' : `ended with ${ended}`}:\n${started.log}`,
        )
      }
      await pause(pollMs)
    }
  }

  return {
    get group() {
      return running?.pid
    },
    start,
    async stop() {
      const ending = running
      running = undefined
      if (ending === undefined) return
      const group = ending.pid
      for (const deadline = performance.now() + 10_000; !ending.log.includes(greeting); await pause(pollMs)) {
        if (performance.now() > deadline) break
      }
      await ending.stop()
      // Workers may outlive the first process by a moment, with the store open.
      for (const deadline = performance.now() + 10_000; processesOfGroup(group).length > 0; await pause(pollMs)) {
        if (performance.now() > deadline) await ending.kill()
      }
    },
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const asked = get({ host: '127.0.0.1', port, path: '/v2/', agent: false, timeout: 2_000 }, (response) => {
      response.resume()
      resolve(response.statusCode === 200 || response.statusCode === 401)
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
  })
