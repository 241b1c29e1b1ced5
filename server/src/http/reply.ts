/** What a handler answers: plain data, sent by `send.ts`. */

/** Names as they go on the wire; a list is sent as one header line per value. */
export type ReplyHeaders = Readonly<Record<string, string | number | readonly string[]>>

/** A stream's chunk is used up before the next one is asked for. */
export type ReplyBody = string | Uint8Array | AsyncIterable<Uint8Array>

export interface Reply {
  readonly status: number
  readonly headers?: ReplyHeaders
  /** Text and bytes get their Content-Length from `answerOf`; a stream must state it in `headers`. */
  readonly body?: ReplyBody
}

export const jsonType = 'application/json; charset=utf-8'

export function json(status: number, value: unknown, headers: ReplyHeaders = {}): Reply {
  return { status, headers: { 'Content-Type': jsonType, ...headers }, body: JSON.stringify(value) }
}

export function empty(status: number, headers: ReplyHeaders = {}): Reply {
  return { status, headers, body: '' }
}
