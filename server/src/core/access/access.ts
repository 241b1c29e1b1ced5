/**
 * credential → principal → scope → claim: the one path by which every plane finds out who asks and what they may do.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import { Fault } from '../../base/fault.ts'
import { pull, type Scope } from '../../base/scope.ts'
import type { Registries, RegistryRecord } from '../directory/registries.ts'
import { type AccessEntry, reaches } from './claims.ts'
import { type Credential, nullGuid } from './credential.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { adminPrincipal, anonymousPrincipal, type Principal, repositoryActions } from './principal.ts'
import type { AccessToken, RegistryTokens } from './registry-tokens.ts'

/** Where a credential is shown. */
export interface Door {
  /** The registry's name. */
  readonly registry: string
  /** What its tokens are good for: its login server without a port. */
  readonly audience: string
  /** The client's address, for counting failures. */
  readonly address: string
}

/** Somebody who has been let in, as far as one request is concerned. */
export interface Holder {
  readonly subject: string
  may(scope: Scope): boolean
  /** Whether blobs of that repository may be mounted elsewhere, also when the token was asked for other repositories. */
  mayMountFrom(repository: string): boolean
}

export interface Access {
  /**
   * Lets a request in whose credential reaches every need.
   * Faults: `unauthenticated`, `scopeInsufficient`, `loginsThrottled`.
   */
  authorize(credential: Credential | undefined, needs: readonly Scope[], door: Door): Promise<Holder>
  /** Who stands behind a credential; a token's principal may do no more than the token says. Faults: as above. */
  authenticate(credential: Credential | undefined, door: Door): Promise<Principal>
  /** Checks an ACR refresh token. Faults: `unauthenticated`. */
  authenticateRefreshToken(token: string, door: Door): Promise<Principal>
  /** An ACR refresh token in the admin user's name, for whoever has the data folder in hand anyway. */
  issueAdminRefreshToken(door: Omit<Door, 'address'>): Promise<string>
  /** An ACR access token for as much of the scopes as the principal is allowed, perhaps nothing, and how long it lives. */
  issueAccessToken(
    principal: Principal,
    scopes: readonly Scope[],
    door: Door,
  ): Promise<{ readonly token: string; readonly seconds: number }>
}

export interface AccessParts {
  readonly registries: Registries
  readonly tokens: RegistryTokens
  readonly throttle: LoginThrottle
}

export function createAccess({ registries, tokens, throttle }: AccessParts): Access {
  async function authenticate(credential: Credential | undefined, door: Door): Promise<Principal> {
    if (credential === undefined) throw new Fault('unauthenticated', { scopes: [] })
    if (credential.kind === 'bearer')
      return tokenPrincipal(await tokens.verifyAccessToken(credential.token, door.audience))
    if (credential.kind === 'anonymous') return anonymous(door)
    return byPassword(credential.username, credential.password, door)
  }

  async function registryAt(door: Door): Promise<RegistryRecord> {
    const registry = await registries.findRegistry(door.registry)
    if (registry === undefined) throw new Fault('registryUnknown', { registry: door.registry })
    return registry
  }

  async function anonymous(door: Door): Promise<Principal> {
    const registry = await registryAt(door)
    if (!registry.anonymousPullEnabled) throw new Fault('unauthenticated', { scopes: [] })
    return anonymousPrincipal
  }

  async function byPassword(username: string, password: string, door: Door): Promise<Principal> {
    const registry = await registryAt(door)
    // A token cannot be guessed, and all who hold one share the name: an old one must not shut out the others.
    if (username === nullGuid) return byToken(password, door)
    const account = `${registry.name}/${username}`
    await throttle.check(door.address, account)
    const principal = await byAdminPassword(username, password, registry)
    if (principal !== undefined) return principal
    await throttle.failed(door.address, account)
    throw new Fault('unauthenticated', { scopes: [] })
  }

  async function byAdminPassword(
    username: string,
    password: string,
    registry: RegistryRecord,
  ): Promise<Principal | undefined> {
    if (username.toLowerCase() !== registry.name || !registry.adminUserEnabled) return undefined
    const passwords = await registries.listPasswords(registry.name)
    // Every password is compared, in constant time, so that the answer's time says nothing; nor do digests tell lengths apart.
    const given = hash('sha256', password, 'buffer')
    const matches = passwords.filter(({ digest }) => timingSafeEqual(digest, given))
    return matches.length > 0 ? adminPrincipal(registry.name) : undefined
  }

  /** The null GUID's password is an ACR refresh token or an ACR access token. */
  async function byToken(token: string, door: Door): Promise<Principal> {
    try {
      return await authenticateRefreshToken(token, door)
    } catch (error) {
      if (!isUnauthenticated(error)) throw error
    }
    return tokenPrincipal(await tokens.verifyAccessToken(token, door.audience))
  }

  /** A refresh token says who, not what: rights are looked up again each time it is used. */
  async function authenticateRefreshToken(token: string, door: Door): Promise<Principal> {
    const { subject, expiresAt } = await tokens.verifyRefreshToken(token, door.audience)
    const registry = await registries.findRegistry(door.registry)
    if (subject !== door.registry || registry?.adminUserEnabled !== true)
      throw new Fault('unauthenticated', { scopes: [] })
    return { ...adminPrincipal(door.registry), expiresAt }
  }

  return {
    authenticate,
    authenticateRefreshToken,

    async authorize(credential, needs, door) {
      // ACR: without a credential there is always a challenge; a client that may pull anonymously gets a token for it.
      if (credential === undefined || credential.kind === 'anonymous') {
        await registryAt(door)
        throw new Fault('unauthenticated', { scopes: needs })
      }
      const holder = await hold(credential, needs, door)
      if (!needs.every((need) => holder.may(need))) throw new Fault('scopeInsufficient', { scopes: needs })
      return holder
    },

    issueAdminRefreshToken: ({ registry, audience }) =>
      tokens.issueRefreshToken({ subject: registry, audience, tenant: nullGuid }),

    async issueAccessToken(principal, scopes, door) {
      const access = merge(scopes.map((scope) => ({ ...scope, actions: principal.grant(scope) })))
      const pushes = access.some((entry) => entry.actions.includes('push'))
      const pullsAll = principal.grant(pull('*')).includes('pull')
      return tokens.issueAccessToken({
        subject: principal.subject,
        audience: door.audience,
        access,
        mountFrom: pushes && pullsAll ? ['*'] : [],
        expiresAt: principal.expiresAt,
      })
    },
  }

  async function hold(credential: Credential, needs: readonly Scope[], door: Door): Promise<Holder> {
    try {
      if (credential.kind === 'bearer') {
        const token = await tokens.verifyAccessToken(credential.token, door.audience)
        const may = (scope: Scope) => reaches(token.access, scope)
        const mayMountFrom = (repository: string) => token.mountFrom.includes('*') || may(pull(repository))
        return { subject: token.subject, may, mayMountFrom }
      }
      const principal = await authenticate(credential, door)
      const may = (scope: Scope) => reaches([{ ...scope, actions: principal.grant(scope) }], scope)
      return {
        subject: principal.subject,
        may,
        mayMountFrom: (repository) => may(pull(repository)),
      }
    } catch (error) {
      if (!isUnauthenticated(error)) throw error
      throw new Fault('unauthenticated', { ...error.detail, scopes: needs }, { cause: error })
    }
  }
}

/** The bearer of an access token: what the token states, cut to what is asked. */
function tokenPrincipal(token: AccessToken): Principal {
  return {
    subject: token.subject,
    kind: 'token',
    expiresAt: token.expiresAt,
    grant(scope) {
      const wanted = scope.actions.includes('*') ? [...repositoryActions, '*'] : scope.actions
      return wanted.filter((action) => reaches(token.access, { ...scope, actions: [action] }))
    },
  }
}

/** One entry a name, its actions together; entries without any action are left out. */
function merge(entries: readonly AccessEntry[]): AccessEntry[] {
  const merged = new Map<string, AccessEntry>()
  for (const entry of entries) {
    if (entry.actions.length === 0) continue
    const key = `${entry.type}:${entry.name}`
    const actions = new Set([...(merged.get(key)?.actions ?? []), ...entry.actions])
    merged.set(key, { type: entry.type, name: entry.name, actions: [...actions] })
  }
  return [...merged.values()]
}

function isUnauthenticated(error: unknown): error is Fault<'unauthenticated'> {
  return error instanceof Fault && error.code === 'unauthenticated'
}
