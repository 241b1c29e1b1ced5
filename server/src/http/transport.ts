/**
 * One request as a connection delivers it, and the way back for its answer. There are two: `node-transport.ts` over `node:http`
 * for everything, and `plain-lane.ts`, a shorter way for the plain ones that registries get most.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { BodyReader } from './body.ts'
import type { ReplyBody } from './reply.ts'

export interface Transport {
  readonly method: string
  /** The request target as sent. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
  /** All values of a header that may be repeated, in order. name: in lower case. */
  headerValues(name: string): readonly string[]
  /** How many Host header lines there were. */
  readonly hostLines: number
  /** The address at the other end of the connection; IPv4-mapped addresses appear as IPv4. */
  readonly peerAddress: string
  readonly encrypted: boolean
  readonly body: BodyReader
  /** Keeps the connection from counting as idle while a handler works on what has arrived. */
  awake<T>(work: () => T | Promise<T>): T | Promise<T>
  /**
   * Answers, once. Returns the number of body bytes sent. Rejects when the body's source fails or the client goes away: the
   * connection is cut then, because a status has been sent already and a short body must not look whole.
   */
  send(answer: Answer): Promise<number>
}

/** A reply with everything that goes on the wire. */
export interface Answer {
  readonly status: number
  /** Names and values in turn, Content-Length among them where there may be one. */
  readonly headers: readonly string[]
  /** Absent for an answer without a body, such as one to HEAD. */
  readonly body?: ReplyBody
}
