/**
 * A route is data beside a short function. A placeholder such as `{digest}` has one meaning and one parser in the whole
 * server (`placeholders.ts`), so a handler gets values that are already valid.
 */
import type { Digest } from '@berth/oci'
import type { Scope } from '../base/scope.ts'
import type { Reply } from './reply.ts'
import type { AuthorizedRequest } from './request.ts'

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** What each placeholder's text becomes. */
export interface Placeholders {
  /** A valid repository name; may span several path segments. */
  repository: string
  digest: Digest
  /** A manifest's digest or a tag. */
  reference: { readonly digest: Digest } | { readonly tag: string }
  /** An upload session's name as the client gave it: unknown until it is looked up. */
  session: string
}

type Names<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never

export type PathParameters<Path extends string> = {
  readonly [Name in Names<Path> & keyof Placeholders]: Placeholders[Name]
}

/** For a route that anyone may call: no credential is looked at. */
export const nobody = 'nobody'

export interface RouteDeclaration<Path extends string> {
  readonly methods: readonly Method[]
  /** Placeholders in braces; `{repository}` is greedy, so that the last marker segment of a path decides. */
  readonly path: Path
  /** What the caller must be allowed to do. An empty list asks for a valid credential and nothing more. */
  readonly needs: typeof nobody | ((parameters: PathParameters<Path>) => readonly Scope[])
  /** The section that defines the endpoint. */
  readonly spec: string
  readonly handle: (parameters: PathParameters<Path>, request: AuthorizedRequest) => Reply | Promise<Reply>
}

/** A route whose parameter types have been forgotten, as tables of routes hold it. */
export interface Route extends Omit<RouteDeclaration<string>, 'handle' | 'needs'> {
  readonly needs: typeof nobody | ((parameters: never) => readonly Scope[])
  readonly handle: (parameters: never, request: AuthorizedRequest) => Reply | Promise<Reply>
}

/** Gives a route's functions the parameter types that its path spells. */
export function route<const Path extends string>(declaration: RouteDeclaration<Path>): Route {
  return declaration
}
