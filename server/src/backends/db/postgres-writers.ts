/** The connections that write: few, each lent to one transaction at a time. */
import type { PostgresConnection } from './postgres-connection.ts'
import { isCrowded, type PostgresConnector } from './postgres-connector.ts'
import { unavailable } from './postgres-errors.ts'

export interface WritersOptions {
  readonly connections: number
  /** How long a transaction waits for its turn. */
  readonly patienceMs: number
}

interface Waiting {
  readonly begin: (connection: PostgresConnection) => void
  readonly refuse: (error: unknown) => void
}

/** First come, first served. */
export class PostgresWriters {
  readonly #connector: PostgresConnector
  readonly #options: WritersOptions
  readonly #idle: PostgresConnection[] = []
  readonly #waiting = new Set<Waiting>()
  /** Lent, idle and those being made. */
  #count = 0

  constructor(connector: PostgresConnector, options: WritersOptions) {
    this.#connector = connector
    this.#options = options
  }

  /** Faults: `unavailable` when no connection can be had, or none came free in time. */
  async lend<T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const connection = await this.#take()
    try {
      return await work(connection)
    } finally {
      this.#giveBack(connection)
    }
  }

  /** To be called when nothing is lent any more. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()))
  }

  async #take(): Promise<PostgresConnection> {
    const idle = this.#takeIdle()
    if (idle !== undefined) return idle
    if (this.#count >= this.#options.connections) return this.#wait()
    try {
      return await this.#make()
    } catch (error) {
      if (isCrowded(error) && this.#count > 0) return this.#wait()
      this.#makeForWaiting()
      throw error
    }
  }

  #takeIdle(): PostgresConnection | undefined {
    for (let found = this.#idle.pop(); found !== undefined; found = this.#idle.pop()) {
      if (found.isUsable) return found
      this.#drop(found)
    }
    return undefined
  }

  async #make(): Promise<PostgresConnection> {
    this.#count++
    try {
      return await this.#connector.connect()
    } catch (error) {
      this.#count--
      throw error
    }
  }

  #wait(): Promise<PostgresConnection> {
    return new Promise((resolve, reject) => {
      const over = (act: () => void) => {
        clearTimeout(timer)
        this.#waiting.delete(waiting)
        act()
      }
      const waiting: Waiting = {
        begin: (connection) => over(() => resolve(connection)),
        refuse: (error) => over(() => reject(error)),
      }
      const tooLong = () => waiting.refuse(unavailable('too many transactions wait for the database', undefined))
      const timer = setTimeout(tooLong, this.#options.patienceMs)
      this.#waiting.add(waiting)
    })
  }

  #giveBack(connection: PostgresConnection): void {
    const [next] = this.#waiting
    if (connection.isUsable) {
      if (next === undefined) this.#idle.push(connection)
      else next.begin(connection)
      return
    }
    this.#drop(connection)
    this.#makeForWaiting()
  }

  #drop(connection: PostgresConnection): void {
    this.#count--
    void connection.close()
  }

  /** In place of a connection that is gone; where none can be had, the first in the queue is told, then the next. */
  #makeForWaiting(): void {
    const [next] = this.#waiting
    if (next === undefined || this.#count >= this.#options.connections) return
    this.#make().then(
      (connection) => this.#giveBack(connection),
      (error: unknown) => {
        const [first] = this.#waiting
        first?.refuse(error)
        this.#makeForWaiting()
      },
    )
  }
}
