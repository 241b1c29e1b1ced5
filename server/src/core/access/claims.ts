/** What a token states, and whether that reaches a scope. */
import type { Scope } from '../../base/scope.ts'

export interface AccessEntry {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

/** An action that a token with another one covers: reading metadata is part of pulling, writing it of pushing. */
const impliedBy: Readonly<Record<string, string>> = { metadata_read: 'pull', metadata_write: 'push' }

/** Whether the entries together reach every action of the scope; an entry named `*` stands for every repository. */
export function reaches(access: readonly AccessEntry[], scope: Scope): boolean {
  return scope.actions.every((action) =>
    access.some(
      (entry) =>
        entry.type === scope.type &&
        (entry.name === scope.name || (entry.name === '*' && scope.type === 'repository')) &&
        (entry.actions.includes(action) || entry.actions.includes(impliedBy[action] ?? action)),
    ),
  )
}
