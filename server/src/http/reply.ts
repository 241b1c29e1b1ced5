/** What a handler answers: plain data, sent by `send.ts`. */

/** Names as they go on the wire; a list is sent as one header line per value. */
export type ReplyHeaders = Readonly<Record<string, string | number | readonly string[]>>

export interface Reply {
  readonly status: number
  readonly headers?: ReplyHeaders
  /**
   * Text and buffers get their Content-Length here; a stream must state it in `headers`. A stream's chunk is used up
   * before the next one is asked for. A HEAD request gets the headers without the body.
   */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>
}

export const jsonType = 'application/json; charset=utf-8'

export function json(status: number, value: unknown, headers: ReplyHeaders = {}): Reply {
  return { status, headers: { 'Content-Type': jsonType, ...headers }, body: JSON.stringify(value) }
}

export function empty(status: number, headers: ReplyHeaders = {}): Reply {
  return { status, headers, body: '' }
}
