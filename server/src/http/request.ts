/** What a handler sees of an HTTP request, once its path has been parsed and its caller let in. */
import type { IncomingHttpHeaders } from 'node:http'

/** Whoever sent the request, as far as a handler needs to know. */
export interface Caller {
  /** A user or application name for logs and events; `anonymous` without a credential. */
  readonly subject: string
  /** Whether blobs of that repository may be mounted elsewhere. */
  mayMountFrom(repository: string): boolean
}

export interface HttpRequest {
  readonly method: string
  /** The path as sent, still percent-encoded, without the query. */
  readonly rawPath: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** All values of a header that may be repeated, in order; `headers` joins or drops them. */
  headerValues(name: string): readonly string[]
  /** `https` or `http`, as the client sees it: from the connection, or from a trusted proxy. */
  readonly scheme: 'http' | 'https'
  /** Host and port that the client used, lower case: `localhost:8443`. */
  readonly authority: string
  /** The address that failed logins are counted by; IPv4-mapped addresses appear as IPv4. */
  readonly remoteAddress: string
  /** The registry that the host names, by its rules alone: it need not exist. */
  readonly registry: string
  readonly correlationId: string
  /** Says for the log who asks, where a route finds that out by itself; also for an attempt that fails. */
  attribute(subject: string): void
  /** Bytes that the client announced, or undefined for a body without a length. */
  readonly contentLength: number | undefined
  /** The body as it arrives; a chunk is valid only until the next is asked for. Faults while iterating:
   * `clientGone`. */
  body(): AsyncIterable<Uint8Array>
  /** The whole body, at most `limitBytes`. Faults: `bodyTooLarge`, `clientGone`, `bodyTooSlow`. */
  readBody(limitBytes: number): Promise<Buffer>
}

export interface AuthorizedRequest extends HttpRequest {
  readonly caller: Caller
}
