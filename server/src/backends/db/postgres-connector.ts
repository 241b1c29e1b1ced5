/** Makes connections, and after a failure waits longer and longer before it tries again. */
import type { Fault } from '../../base/fault.ts'
import { type ConnectionOptions, PostgresConnection } from './postgres-connection.ts'
import { codeOf, unavailable } from './postgres-errors.ts'
import type { PostgresServer } from './postgres-server.ts'

const firstPauseMs = 50
const longestPauseMs = 2_000

export class PostgresConnector {
  readonly #server: PostgresServer
  readonly #options: ConnectionOptions
  #failures = 0
  #refuse: { readonly until: number; readonly fault: Fault<'unavailable'> } | undefined

  constructor(server: PostgresServer, options: ConnectionOptions) {
    this.#server = server
    this.#options = options
  }

  /**
   * Faults: `unavailable` when it cannot be had, whatever the reason: the program started with this server once, so it is
   * for the operator to read in the log. Soon after a failure that is said at once.
   */
  async connect(): Promise<PostgresConnection> {
    if (this.#refuse !== undefined && performance.now() < this.#refuse.until) throw this.#refuse.fault
    try {
      const connection = await PostgresConnection.open(this.#server, this.#options)
      this.#failures = 0
      this.#refuse = undefined
      return connection
    } catch (error) {
      const fault = unavailable('the database cannot be reached', error)
      // Many may have tried at once: that is one failure.
      if (this.#refuse === undefined || performance.now() >= this.#refuse.until) {
        const pauseMs = Math.min(firstPauseMs * 2 ** this.#failures++, longestPauseMs)
        this.#refuse = { until: performance.now() + pauseMs * (0.5 + Math.random() / 2), fault }
      }
      throw fault
    }
  }
}

/** Whether the server has no more connections to give, to anybody. */
export function isCrowded(fault: unknown): boolean {
  return fault instanceof Error && codeOf(fault.cause) === '53300'
}
