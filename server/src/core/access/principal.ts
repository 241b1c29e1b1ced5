/** Who a credential proved to be, and what that one may do in one registry. */
import type { Scope } from '../../base/scope.ts'

export interface Principal {
  /** The `sub` of its tokens, and its name in logs. */
  readonly subject: string
  readonly kind: 'admin' | 'anonymous' | 'token'
  /** Milliseconds since the epoch; nothing issued to it may live longer. Absent for a password, which has no end. */
  readonly expiresAt?: number | undefined
  /** The actions of the scope that it is allowed, `*` spelled out; in the scope's order. Empty: nothing. */
  grant(scope: Scope): readonly string[]
}

/** Every action there is on a repository. */
export const repositoryActions = [
  'pull',
  'push',
  'delete',
  'metadata_read',
  'metadata_write',
  'deleted_read',
  'deleted_restore',
] as const

/** By type; a map, because the types come from outside and may be called like a method of every object. */
const everything: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['repository', repositoryActions],
  ['artifact-repository', ['pull', 'push', 'delete']],
])

/** The registry's admin user: everything in its registry but quarantine and signing. */
export function adminPrincipal(registry: string): Principal {
  return {
    subject: registry,
    kind: 'admin',
    grant(scope) {
      if (scope.type === 'registry') return registryNames.has(scope.name) ? only(scope.actions, ['*']) : []
      return only(scope.actions, everything.get(scope.type) ?? [])
    },
  }
}

/** Anybody, where the registry allows anonymous pull: reading repositories whose names one knows. */
export const anonymousPrincipal: Principal = {
  subject: 'anonymous',
  kind: 'anonymous',
  grant: (scope) => (scope.type === 'repository' ? only(scope.actions, ['pull', 'metadata_read']) : []),
}

const registryNames = new Set(['catalog', 'deleted_catalog'])

/** Spellings of the same action that older clients use. */
const aliases: Readonly<Record<string, string>> = { metadataRead: 'metadata_read', metadataWrite: 'metadata_write' }

/** `*` asks for everything allowed; anything unknown is left out, never refused. */
function only(wanted: readonly string[], allowed: readonly string[]): readonly string[] {
  if (wanted.includes('*')) return allowed
  return wanted.map((action) => aliases[action] ?? action).filter((action) => allowed.includes(action))
}
