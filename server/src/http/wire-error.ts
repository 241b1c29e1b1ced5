/**
 * How faults look on the wire in the envelope of the OCI distribution specification ("Error codes"), which ACR uses on
 * every data-plane path: `{"errors":[{"code","message","detail"}]}`.
 */
import type { AccessFaults, Fault, Faults, TransportFaults } from '../base/fault.ts'
import { formatScope, type Scope } from '../base/scope.ts'
import { json, type Reply, type ReplyHeaders } from './reply.ts'
import type { HttpRequest } from './request.ts'

/** What an error row may know about the request it answers. */
export type ErrorContext = Pick<HttpRequest, 'method' | 'rawPath' | 'scheme' | 'authority' | 'correlationId'>

export interface WireError<Detail> {
  readonly status: number
  /** In capitals and underscores; clients switch on it. */
  readonly code: string
  readonly message: string | ((detail: Detail, request: ErrorContext) => string)
  readonly detail?: (detail: Detail) => unknown
  /** For faults that are several errors at once: the `detail` of each. */
  readonly details?: (detail: Detail) => readonly unknown[]
  readonly headers?: (detail: Detail, request: ErrorContext) => ReplyHeaders
}

export type WireErrors<Covered> = { readonly [Code in keyof Covered & keyof Faults]: WireError<Faults[Code]> }

/** Puts a fault into the envelope; a fault that the table does not know is a bug, and says so with 500. */
export function ociErrorReply(errors: Partial<WireErrors<Faults>>, fault: Fault, request: ErrorContext): Reply {
  const row = errors[fault.code] as WireError<unknown> | undefined
  if (row === undefined) return ociBugReply(request.correlationId)
  const { status, code } = row
  const message = typeof row.message === 'string' ? row.message : row.message(fault.detail, request)
  const details = row.details?.(fault.detail) ?? [row.detail?.(fault.detail)]
  const entries = details.map((detail) => ({ code, message, ...(detail === undefined ? {} : { detail }) }))
  return json(status, { errors: entries }, row.headers?.(fault.detail, request))
}

export function ociBugReply(correlationId: string): Reply {
  const message = `an unexpected error occurred; the server's log has the details under ${correlationId}`
  return json(500, { errors: [{ code: 'UNKNOWN', message }] })
}

export const authenticationRequired =
  'authentication required, visit https://aka.ms/acr/authorization for more information.'

/** One entry an action, with capital keys. ACR: seen on the wire. */
function scopeDetails(scopes: readonly Scope[]) {
  const entries = scopes.flatMap(({ type, name, actions }) =>
    actions.map((action) => ({ Type: type, Name: name, Action: action })),
  )
  return entries.length === 0 ? undefined : entries
}

/**
 * The Bearer challenge (RFC 6750 §3, Docker token specification). az takes it apart at spaces, commas and equals signs: one
 * header, one space after the scheme, none after a comma, every value quoted.
 */
function challenge(
  scopes: readonly Scope[],
  error: string | undefined,
  { scheme, authority }: ErrorContext,
): ReplyHeaders {
  const parts = [`realm="${scheme}://${authority}/oauth2/token"`, `service="${authority}"`]
  if (scopes.length > 0) parts.push(`scope="${scopes.map(formatScope).join(' ')}"`)
  if (error !== undefined) parts.push(`error="${error}"`)
  return { 'Www-Authenticate': `Bearer ${parts.join(',')}` }
}

const retryAfter = ({ retryAfterSeconds }: { retryAfterSeconds: number }) => ({ 'Retry-After': retryAfterSeconds })

/** The rows that every plane with this envelope shares. */
export const commonErrors: WireErrors<AccessFaults & TransportFaults> = {
  unauthenticated: {
    status: 401,
    code: 'UNAUTHORIZED',
    message: authenticationRequired,
    detail: ({ scopes }) => scopeDetails(scopes),
    headers: ({ scopes, reason }, request) =>
      challenge(scopes, reason === 'tokenInvalid' ? 'invalid_token' : undefined, request),
  },
  // 401 and not 403: the SDKs keep one token and ask for a wider one only after a 401.
  scopeInsufficient: {
    status: 401,
    code: 'UNAUTHORIZED',
    message: authenticationRequired,
    detail: ({ scopes }) => scopeDetails(scopes),
    headers: ({ scopes }, request) => challenge(scopes, 'insufficient_scope', request),
  },
  loginsThrottled: {
    status: 429,
    code: 'TOOMANYREQUESTS',
    message: 'too many failed logins from this address; wait and try again with the right password',
    headers: retryAfter,
  },
  registryUnknown: {
    status: 404,
    code: 'NAME_UNKNOWN',
    message: ({ registry }) => `there is no registry named '${registry}'`,
  },
  grantUnsupported: {
    status: 400,
    code: 'UNSUPPORTED',
    message: ({ grantType }) => `the grant type '${grantType.slice(0, 64)}' is not supported`,
  },
  tokenRequestInvalid: { status: 400, code: 'UNSUPPORTED', message: ({ reason }) => reason },
  bodyTooLarge: { status: 413, code: 'SIZE_INVALID', message: 'http: request body too large' },
  bodyTooSlow: {
    status: 408,
    code: 'UNAVAILABLE',
    message: ({ timeoutMs }) => `the request's body did not arrive within ${timeoutMs / 1000} seconds`,
  },
  clientGone: { status: 400, code: 'BLOB_UPLOAD_INVALID', message: 'the request ended before its body was complete' },
  hostUnknown: {
    status: 404,
    code: 'NAME_UNKNOWN',
    message: ({ host }) => `no registry is served under the name '${host}'`,
  },
  methodNotAllowed: {
    status: 405,
    code: 'UNSUPPORTED',
    message: 'The operation is unsupported.',
    headers: ({ allow }) => ({ Allow: allow.join(', ') }),
  },
  requestInvalid: { status: 400, code: 'UNSUPPORTED', message: ({ reason }) => reason },
  routeUnknown: { status: 404, code: 'NAME_UNKNOWN', message: 'page not found' },
  unavailable: { status: 503, code: 'UNAVAILABLE', message: 'service unavailable', headers: retryAfter },
}
