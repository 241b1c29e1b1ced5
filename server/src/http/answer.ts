/** From a handler's reply to what goes on the wire. */
import type { Reply, ReplyHeaders } from './reply.ts'
import type { Answer } from './transport.ts'

/** common: headers that every answer of the plane carries; the reply's own win by name. A HEAD request gets no body. */
export function answerOf(method: string, reply: Reply, common: ReplyHeaders, more: ReplyHeaders): Answer {
  const { status, headers: own = {}, body = '' } = reply
  const headers: string[] = []
  add(headers, own)
  add(headers, common, own)
  add(headers, more, own)
  const bodiless = status === 204 || status === 304
  if (typeof body === 'object' && Symbol.asyncIterator in body) {
    if (!('Content-Length' in own))
      throw new Error('a stream states no length, so nobody could tell whether it came whole')
    return method === 'HEAD' ? { status, headers } : { status, headers, body }
  }
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  if (!bodiless && !('Content-Length' in own)) headers.push('Content-Length', String(length))
  return method === 'HEAD' || bodiless || length === 0 ? { status, headers } : { status, headers, body }
}

function add(raw: string[], headers: ReplyHeaders, unless?: ReplyHeaders): void {
  for (const name in headers) {
    if (unless !== undefined && name in unless) continue
    const value = headers[name]
    if (typeof value === 'object') for (const line of value) raw.push(name, line)
    else if (value !== undefined) raw.push(name, String(value))
  }
}
