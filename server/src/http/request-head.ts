/**
 * The heads of plain requests: GET and HEAD without a body, as nearly every client writes them. What is out of the ordinary in any
 * way is not understood here, and left to `node:http`.
 */

export interface RequestHead {
  readonly method: 'GET' | 'HEAD'
  readonly target: string
  readonly fields: HeaderFields
}

export interface HeaderFields {
  /** The lines as they came. */
  readonly text: string
  /** By name in lower case; the lines of `accept` are joined by commas. */
  readonly headers: Readonly<Record<string, string>>
  readonly accept: readonly string[]
}

/** Of a whole head; the same limit as the one for other requests. */
const longestHead = 16 * 1024

const requestLine = /^(GET|HEAD) (\/[\x21-\x7e]*) HTTP\/1\.1$/
/** RFC 9110 §5.6.2, in the letters that clients use; a value is visible ASCII, spaces and tabs, without any at its ends. */
const headerLine = /^([A-Za-z0-9_-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[ \t]*$/

/** Names that say something about the connection or about a body: whoever sends one needs the whole of HTTP. */
const unusual = new Set([
  'content-length',
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
 * Reads bytes that are exactly one request without a body; undefined for everything else: less or more than one head, another
 * method or version, a name twice (but Accept), a line that is folded or holds odd characters, and any word about a body or about
 * the connection other than `keep-alive`. last: the fields of the connection's last request, which are often the same again.
 * Spec: RFC 9112 §3, §5; deliberately narrower.
 */
export function parseRequestHead(bytes: Buffer, last?: HeaderFields): RequestHead | undefined {
  if (bytes.length > longestHead) return undefined
  const text = bytes.toString('latin1')
  if (!text.endsWith('\r\n\r\n')) return undefined
  const lineEnd = text.indexOf('\r\n')
  const found = requestLine.exec(text.slice(0, lineEnd))
  if (found === null) return undefined
  const fieldsText = text.slice(lineEnd, -4)
  const fields = fieldsText === last?.text ? last : parseFields(fieldsText)
  return fields && { method: found[1] as 'GET' | 'HEAD', target: found[2]!, fields }
}

function parseFields(text: string): HeaderFields | undefined {
  const headers: Record<string, string> = Object.create(null)
  const accept: string[] = []
  // The text begins with the end of the line before it.
  const lines = text.split('\r\n')
  for (let i = 1; i < lines.length; i++) {
    const line = headerLine.exec(lines[i]!)
    if (line === null) return undefined
    const name = line[1]!.toLowerCase()
    const value = line[2] ?? ''
    if (unusual.has(name)) return undefined
    if (name === 'connection' && value.toLowerCase() !== 'keep-alive') return undefined
    if (name === 'accept') accept.push(value)
    else if (name in headers) return undefined
    headers[name] = name === 'accept' ? accept.join(', ') : value
  }
  return { text, headers, accept }
}
