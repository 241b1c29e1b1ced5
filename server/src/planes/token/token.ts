import { Fault } from '../../base/fault.ts'
import { parseScopes } from '../../base/scope.ts'
import type { Access, Door } from '../../core/access/access.ts'
import { type Credential, parseAuthorization } from '../../core/access/credential.ts'
import type { Principal } from '../../core/access/principal.ts'
import { json, type Reply } from '../../http/reply.ts'
import type { HttpRequest } from '../../http/request.ts'
import { nobody, type Route, route } from '../../http/route.ts'

const formLimitBytes = 64 * 1024

/** doorOf: which registry's door a request knocks at. */
export const tokenRoutes = (access: Access, doorOf: (request: HttpRequest) => Door): Route[] => {
  async function answer(principal: Principal, scopes: readonly string[], door: Door): Promise<Reply> {
    const { token, seconds } = await access.issueAccessToken(principal, parseScopes(scopes), door)
    // No refresh token here: docker would keep it as an identity token and log in another way from then on.
    return json(200, { access_token: token, expires_in: seconds }, { 'Cache-Control': 'no-store' })
  }

  return [
    route({
      methods: ['GET'],
      path: '/oauth2/token',
      needs: nobody, // the credential is what this endpoint checks
      spec: 'Docker token authentication specification, "Requesting a Token"',
      async handle(_, request) {
        const door = doorOf(request)
        const credential = parseAuthorization(request.headers.authorization)
        if (credential?.kind === 'basic') request.attribute(credential.username)
        const principal = await access.authenticate(credential, door)
        request.attribute(principal.subject)
        return answer(principal, request.query.getAll('scope'), door)
      },
    }),
    route({
      methods: ['POST'],
      path: '/oauth2/token',
      needs: nobody,
      spec: 'Docker token authentication specification, "OAuth2"; RFC 6749 §4.3, §6',
      async handle(_, request) {
        const door = doorOf(request)
        const form = await formOf(request)
        request.attribute(form.get('username') ?? '')
        const principal = await authenticateGrant(access, form, door)
        request.attribute(principal.subject)
        return answer(principal, form.getAll('scope'), door)
      },
    }),
  ]
}

function authenticateGrant(access: Access, form: URLSearchParams, door: Door): Promise<Principal> {
  const grantType = form.get('grant_type') ?? ''
  if (grantType === 'password') return access.authenticate(passwordCredential(form), door)
  if (grantType === 'refresh_token') return access.authenticateRefreshToken(form.get('refresh_token') ?? '', door)
  throw new Fault('grantUnsupported', { grantType })
}

/** The SDKs ask for an anonymous token by a password grant with neither user nor password. */
function passwordCredential(form: URLSearchParams): Credential {
  const username = form.get('username') ?? ''
  const password = form.get('password') ?? ''
  return username === '' && password === '' ? { kind: 'anonymous' } : { kind: 'basic', username, password }
}

async function formOf(request: HttpRequest): Promise<URLSearchParams> {
  const type = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') {
    throw new Fault('tokenRequestInvalid', { reason: 'the body must be application/x-www-form-urlencoded' })
  }
  return new URLSearchParams((await request.readBody(formLimitBytes)).toString('utf8'))
}
