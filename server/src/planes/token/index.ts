/** `/oauth2/*`: registry credentials in, ACR access tokens out. */
import type { Access, Door } from '../../core/access/access.ts'
import type { Plane } from '../../http/plane.ts'
import type { ReplyHeaders } from '../../http/reply.ts'
import type { HttpRequest } from '../../http/request.ts'
import {
  authenticationRequired,
  commonErrors,
  type ErrorContext,
  ociBugReply,
  ociErrorReply,
} from '../../http/wire-error.ts'
import { tokenRoutes } from './token.ts'

/** ACR: the token server says the correlation id in the message too (seen on the wire). */
const tokenErrors = {
  ...commonErrors,
  unauthenticated: {
    ...commonErrors.unauthenticated,
    message: (_: unknown, { correlationId }: ErrorContext) =>
      `${authenticationRequired} CorrelationId: ${correlationId}`,
  },
}

export function tokenPlane(access: Access, doorOf: (request: HttpRequest) => Door, headers: ReplyHeaders): Plane {
  return {
    name: 'token',
    prefixes: ['/oauth2/'],
    registryHosts: true,
    routes: tokenRoutes(access, doorOf),
    headers,
    fault: (fault, request) => ociErrorReply(tokenErrors, fault, request),
    bug: ociBugReply,
  }
}
