/** A plane: a set of routes with one way of saying what went wrong. */
import type { Fault } from '../base/fault.ts'
import type { Reply, ReplyHeaders } from './reply.ts'
import type { Route } from './route.ts'
import type { ErrorContext } from './wire-error.ts'

export interface Plane {
  readonly name: string
  /** Paths that begin with one of these belong to the plane, whether a route matches or not. */
  readonly prefixes: readonly string[]
  readonly routes: readonly Route[]
  /** Whether its hosts are registries' login servers; a plane for every host says false. */
  readonly registryHosts: boolean
  /** Headers of every answer, errors included. */
  readonly headers: ReplyHeaders
  /** Puts a fault into the plane's envelope. */
  fault(fault: Fault, request: ErrorContext): Reply
  /** The envelope of a bug: status 500 and nothing of the cause. */
  bug(correlationId: string): Reply
}
