/** What the program says about itself: one line an event, facts first. Nothing secret is ever a fact. */
import { pino } from 'pino'

export interface Log {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** `json`: one object a line; `pretty`: for a terminal. */
  readonly format: 'json' | 'pretty'
}

/** Writes to standard output. `flush` before the process ends. */
export async function createLog({ level, format }: LogOptions): Promise<Log & { flush(): void }> {
  const destination =
    format === 'pretty'
      ? (await import('pino-pretty')).default({
          destination: 1,
          sync: true,
          singleLine: true,
          ignore: 'pid,hostname,agent',
          translateTime: 'HH:MM:ss.l',
        })
      : pino.destination({ dest: 1, sync: false })
  const log = pino({ level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } }, destination)
  return {
    debug: (facts, message) => log.debug(facts, message),
    info: (facts, message) => log.info(facts, message),
    warn: (facts, message) => log.warn(facts, message),
    error: (facts, message) => log.error(facts, message),
    flush: () => {
      if ('flushSync' in destination) destination.flushSync()
    },
  }
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
