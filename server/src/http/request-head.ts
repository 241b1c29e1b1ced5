/**
 * The heads of plain requests, as nearly every client writes them: without a body, or with one whose length is announced. What is
 * out of the ordinary in any way is not understood here, and left to `node:http`.
 */

export interface RequestHead {
  readonly method: string
  readonly target: string
  readonly fields: HeaderFields
  /** The bytes after the head; all of them belong to the request's body. */
  readonly rest: Buffer
}

export interface HeaderFields {
  /** The lines as they came. */
  readonly text: string
  /** By name in lower case; the lines of `accept` are joined by commas. */
  readonly headers: Readonly<Record<string, string>>
  readonly accept: readonly string[]
  /** Content-Length; undefined without one. */
  readonly bodyBytes: number | undefined
}

/** Of a whole head; the same limit as the one for other requests. */
const longestHead = 16 * 1024

const requestLine = /^(GET|HEAD|POST|PUT|PATCH|DELETE) (\/[\x21-\x7e]*) HTTP\/1\.1$/
/** RFC 9110 §5.6.2, in the letters that clients use. */
const fieldName = /^[A-Za-z0-9_-]+$/
/** Visible ASCII, spaces and tabs. One class and no more: a head of 16 KiB must be read in no time, whatever is in it. */
const fieldValue = /^[\t\x20-\x7e]*$/

/** Below 2^53. RFC 9110 §8.6 */
const plainLength = /^\d{1,15}$/

/** Names that say something about the connection or about how a body is sent: whoever sends one needs the whole of HTTP. */
const unusual = new Set([
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * Reads bytes that are one request's head and at most as much as it announces of a body; undefined for everything else: less than
 * a head, bytes after the request, another method or version, a name twice (but Accept), a line that is folded or holds odd
 * characters, a GET or HEAD with a length, and any other word about a body or about the connection than `Content-Length` in digits
 * and `keep-alive`. last: the fields of the connection's last request, which are often the same again.
 * Spec: RFC 9112 §3, §5, §6; deliberately narrower.
 */
export function parseRequestHead(bytes: Buffer, last?: HeaderFields): RequestHead | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0 || headEnd + 4 > longestHead) return undefined
  const text = bytes.toString('latin1', 0, headEnd)
  const lineEnd = text.indexOf('\r\n')
  const found = requestLine.exec(lineEnd < 0 ? text : text.slice(0, lineEnd))
  if (found === null) return undefined
  const fieldsText = lineEnd < 0 ? '' : text.slice(lineEnd)
  const fields = fieldsText === last?.text ? last : parseFields(fieldsText)
  if (fields === undefined) return undefined
  const [, method = '', target = ''] = found
  if (fields.bodyBytes !== undefined && (method === 'GET' || method === 'HEAD')) return undefined
  const rest = bytes.subarray(headEnd + 4)
  return rest.length > (fields.bodyBytes ?? 0) ? undefined : { method, target, fields, rest }
}

function parseFields(text: string): HeaderFields | undefined {
  const headers: Record<string, string> = Object.create(null)
  const accept: string[] = []
  // The text begins with the end of the line before it.
  const lines = text.split('\r\n')
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!
    const colon = line.indexOf(':')
    if (colon < 0 || !fieldName.test(line.slice(0, colon)) || !fieldValue.test(line)) return undefined
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (unusual.has(name)) return undefined
    if (name === 'connection' && value.toLowerCase() !== 'keep-alive') return undefined
    if (name === 'accept') accept.push(value)
    else if (name in headers) return undefined
    headers[name] = name === 'accept' ? accept.join(', ') : value
  }
  const length = headers['content-length']
  if (length !== undefined && !plainLength.test(length)) return undefined
  return { text, headers, accept, bodyBytes: length === undefined ? undefined : Number(length) }
}
