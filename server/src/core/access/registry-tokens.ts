/** ACR refresh tokens and ACR access tokens: JWTs that only the registry itself has to understand. */
import { randomUUID } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import { BoundedCache } from '../../base/bounded-cache.ts'
import type { Clock } from '../../base/clock.ts'
import { Fault } from '../../base/fault.ts'
import type { AccessEntry } from './claims.ts'
import type { SigningKeys } from './signing-keys.ts'

/** ACR: 75 minutes and 3 hours. */
const accessTokenSeconds = 75 * 60
export const refreshTokenSeconds = 3 * 60 * 60

/** How far the clocks of two nodes may be apart: a token of one is good on the other at once. */
const skewSeconds = 60

const issuer = 'Azure Container Registry'
const algorithm = 'RS256'
/** How many verified tokens are remembered, and up to which length: 16 MiB at most. */
const remembered = 4096
const rememberedLength = 4096
/** Longer ones are not issued. */
const longestIssued = 12 * 1024
/** Longer ones are refused unread. */
const longestToken = 16 * 1024

export interface TokenSubject {
  readonly subject: string
  /** The login server: a token is good for one registry. */
  readonly audience: string
}

export interface AccessToken extends TokenSubject {
  readonly access: readonly AccessEntry[]
  /** Patterns of repositories whose blobs the subject may mount elsewhere; see docs/decisions/0006. */
  readonly mountFrom: readonly string[]
  /** Milliseconds since the epoch; to issue: at the latest then, and never later than `accessTokenSeconds` from now. */
  readonly expiresAt?: number | undefined
}

export interface RefreshToken extends TokenSubject {
  readonly tenant: string
}

export interface RegistryTokens {
  /** seconds: how long it lives, `accessTokenSeconds` or less. Faults: `tokenRequestInvalid` for more scopes than fit a header. */
  issueAccessToken(token: AccessToken): Promise<{ readonly token: string; readonly seconds: number }>
  /** Its payload has no character that differs between base64 and base64url, because one SDK mixes them up. */
  issueRefreshToken(token: RefreshToken): Promise<string>
  /** Faults: `unauthenticated` for anything but a live access token of this audience that one of our keys signed. */
  verifyAccessToken(text: string, audience: string): Promise<AccessToken>
  /** expiresAt: milliseconds since the epoch. */
  verifyRefreshToken(text: string, audience: string): Promise<TokenSubject & { readonly expiresAt: number }>
}

/** The claims that we write; behind our own signature they need no second look at their shape. */
interface Claims {
  readonly sub: string
  /** Seconds since the epoch. */
  readonly exp: number
  readonly grant_type: 'access_token' | 'refresh_token'
  readonly access: readonly AccessEntry[]
  readonly mount_from?: readonly string[]
}

export function createRegistryTokens(keys: SigningKeys, clock: Clock): RegistryTokens {
  const verified = new BoundedCache<string, AccessToken & { readonly expiresAt: number }>(remembered)

  async function sign(
    claims: Record<string, unknown>,
    { subject, audience }: TokenSubject,
    seconds: number,
  ): Promise<string> {
    const key = await keys.getSigningKey()
    const now = Math.floor(clock.now() / 1000)
    const text = await new SignJWT({ version: '1.0', roles: [], ...claims })
      .setProtectedHeader({ alg: algorithm, typ: 'JWT', kid: key.kid })
      .setJti(randomUUID())
      .setSubject(subject)
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(now)
      .setNotBefore(now - skewSeconds)
      .setExpirationTime(now + seconds)
      .sign(key.privateKey)
    // Presented in a header, whose limit it must fit with room for the others.
    if (text.length > longestIssued) {
      throw new Fault('tokenRequestInvalid', { reason: 'a token for so many scopes fits no request; ask for fewer' })
    }
    return text
  }

  async function verify(text: string, audience: string, grantType: Claims['grant_type']): Promise<Claims> {
    if (text.length > longestToken) throw refused()
    try {
      const { payload } = await jwtVerify<Claims>(
        text,
        async ({ kid }) => {
          const key = kid === undefined ? undefined : await keys.findVerificationKey(kid)
          if (key === undefined) throw new errors.JWKSNoMatchingKey()
          return key
        },
        {
          algorithms: [algorithm],
          issuer,
          audience,
          typ: 'JWT',
          currentDate: new Date(clock.now()),
          requiredClaims: ['sub', 'exp', 'nbf', 'iat'],
        },
      )
      if (payload.grant_type === grantType) return payload
    } catch (error) {
      if (error instanceof errors.JOSEError) throw refused(error)
      throw error
    }
    throw refused()
  }

  return {
    async issueAccessToken({ access, mountFrom, expiresAt = Number.POSITIVE_INFINITY, ...token }) {
      const seconds = Math.min(accessTokenSeconds, Math.floor((expiresAt - clock.now()) / 1000))
      const mount = mountFrom.length === 0 ? {} : { mount_from: mountFrom }
      return { token: await sign({ access, grant_type: 'access_token', ...mount }, token, seconds), seconds }
    },

    issueRefreshToken: ({ tenant, ...token }) =>
      sign(
        { tenant, grant_type: 'refresh_token', permissions: { actions: ['*'], notActions: [] } },
        token,
        refreshTokenSeconds,
      ),

    async verifyAccessToken(text, audience) {
      const known = verified.get(text)
      if (known !== undefined && known.audience === audience && known.expiresAt > clock.now()) return known
      const { sub, exp, access, mount_from = [] } = await verify(text, audience, 'access_token')
      const token = { subject: sub, audience, access, mountFrom: mount_from, expiresAt: exp * 1000 }
      if (text.length <= rememberedLength) verified.set(text, token)
      return token
    },

    async verifyRefreshToken(text, audience) {
      const { sub, exp } = await verify(text, audience, 'refresh_token')
      return { subject: sub, audience, expiresAt: exp * 1000 }
    },
  }
}

function refused(cause?: unknown): Fault<'unauthenticated'> {
  return new Fault('unauthenticated', { scopes: [], reason: 'tokenInvalid' }, { cause })
}
