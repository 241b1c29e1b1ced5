/** What a request asks for or a token grants: `<type>:<name>:<action>,<action>` (Docker token specification, "scope"). */
export interface Scope {
  /** `repository`, `registry`, `artifact-repository`; others are carried, never granted. */
  readonly type: string
  /** A repository name, `catalog`, or whatever the client wrote; may contain colons (a trust GUN with a port). */
  readonly name: string
  /** In the order written, without duplicates; `*` means "everything I am allowed". */
  readonly actions: readonly string[]
}

/**
 * Reads one scope: the type is before the first colon, the actions after the last, the name between.
 * Returns undefined for text without two colons, which clients do send and which must be ignored, not refused.
 * ACR: seen with `registry:None:*` and GUNs such as `repository:host:443/name:pull`.
 */
export function parseScope(text: string): Scope | undefined {
  const first = text.indexOf(':')
  const last = text.lastIndexOf(':')
  if (first <= 0 || last === first) return undefined
  const name = text.slice(first + 1, last)
  const actions = [...new Set(text.slice(last + 1).split(','))].filter((action) => action !== '')
  if (name === '') return undefined
  return { type: text.slice(0, first), name, actions }
}

/** Reads any number of scope values, each of which may hold several scopes separated by spaces. */
export function parseScopes(values: readonly string[]): Scope[] {
  return values
    .flatMap((value) => value.split(' '))
    .map(parseScope)
    .filter((scope) => scope !== undefined)
}

/** The inverse of `parseScope`. */
export function formatScope(scope: Scope): string {
  return `${scope.type}:${scope.name}:${scope.actions.join(',')}`
}

export const pull = (repository: string): Scope => ({ type: 'repository', name: repository, actions: ['pull'] })
export const push = (repository: string): Scope => ({ type: 'repository', name: repository, actions: ['pull', 'push'] })
export const remove = (repository: string): Scope => ({ type: 'repository', name: repository, actions: ['delete'] })
export const readMetadata = (repository: string): Scope => ({
  type: 'repository',
  name: repository,
  actions: ['metadata_read'],
})
export const listRepositories: Scope = { type: 'registry', name: 'catalog', actions: ['*'] }
