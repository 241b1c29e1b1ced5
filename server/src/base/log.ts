/** What the program says about itself: one line an event, facts first. Nothing secret is ever a fact. */
import { pino } from 'pino'
import { LineWriter } from './line-writer.ts'

export interface Log {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

/** One that may have lines in hand, which are written before the process ends by `flush`. */
export interface FlushedLog extends Log {
  flush(): void
}

export interface LogOptions {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** `json`: one object a line; `pretty`: for a terminal. */
  readonly format: 'json' | 'pretty'
}

/**
 * Writes to standard output. `flush` before the process ends. A full disk, or a reader that has gone, loses lines and nothing
 * else: how many is told in a line of its own as soon as writing works again.
 */
export async function createLog({ level, format }: LogOptions): Promise<FlushedLog> {
  const printed = format === 'pretty' ? await prettyLine() : (line: string) => line
  const options = { level, timestamp: pino.stdTimeFunctions.isoTime, base: { pid: process.pid } }
  const writer = new LineWriter(1, {
    lost(lines) {
      let text = ''
      const write = (line: string) => {
        text = printed(line)
      }
      pino(options, { write }).warn({ lines }, 'lines of this log could not be written and are lost')
      return text
    },
  })
  const log = pino(options, { write: (line) => writer.write(printed(line)) })
  const flush = () => writer.flush()
  process.on('exit', flush)
  return {
    debug: (facts, message) => log.debug(facts, message),
    info: (facts, message) => log.info(facts, message),
    warn: (facts, message) => log.warn(facts, message),
    error: (facts, message) => log.error(facts, message),
    flush,
  }
}

async function prettyLine(): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({ singleLine: true, ignore: 'pid,hostname,agent', translateTime: 'HH:MM:ss.l' })
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }
