import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { basic, bearer, challengeOf, claimsOf, tokenFor } from '../../../test/wire.ts'

const nullGuid = '00000000-0000-0000-0000-000000000000'
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 })

async function signedBy(app: TestApp, claims: JWTPayload, header: Partial<JWTHeaderParameters> = {}): Promise<string> {
  const { kid, privateKey } = await app.signingKeys.getSigningKey()
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid, ...header }).sign(privateKey)
}

describe('a token', () => {
  let app: TestApp & AsyncDisposable
  /** A good one, and what it says. */
  let token: string
  let claims: JWTPayload
  let kid: string
  before(async () => {
    app = await startTestApp()
    token = await tokenFor(app, ['repository:team/app:pull'])
    claims = claimsOf(token) as JWTPayload
    kid = (await app.signingKeys.getSigningKey()).kid
  })
  after(() => app[Symbol.asyncDispose]())

  const now = () => Math.floor(app.clock.now() / 1000)

  async function isRefused(forged: string): Promise<void> {
    const response = await app.fetch('/v2/', { headers: bearer(forged) })
    assert.equal(response.status, 401)
    assert.equal(challengeOf(response).error, 'invalid_token')
    const asPassword = { authorization: basic(nullGuid, forged) }
    assert.equal((await app.fetch('/v2/', { headers: asPassword })).status, 401)
    // Refusals are counted; the next test begins with a clean record.
    await app.db.write((tables) => tables.deleteFrom('login_failures').execute())
  }

  test('is let in as it was issued, also when signed again with the same claims', async () => {
    for (const good of [token, await signedBy(app, claims)]) {
      assert.equal((await app.fetch('/v2/', { headers: bearer(good) })).status, 200)
    }
  })

  const forgeries: readonly (readonly [string, () => string | Promise<string>])[] = [
    ['alg none', () => `${encode({ alg: 'none', typ: 'JWT', kid })}.${encode(claims)}.`],
    ['alg None', () => `${encode({ alg: 'None', typ: 'JWT', kid })}.${encode(claims)}.`],
    ['no signature', () => `${token.split('.').slice(0, 2).join('.')}.`],
    [
      'HS256 with the public key as secret',
      async () => {
        const key = await app.signingKeys.findVerificationKey(kid)
        const pem = key?.export({ format: 'pem', type: 'spki' }) ?? ''
        const text = `${encode({ alg: 'HS256', typ: 'JWT', kid })}.${encode(claims)}`
        return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`
      },
    ],
    ['PS256 with our key', async () => signedBy(app, claims, { alg: 'PS256' })],
    [
      'another claim under the old signature',
      () => {
        const [header = '', , signature = ''] = token.split('.')
        return `${header}.${encode({ ...claims, sub: 'root' })}.${signature}`
      },
    ],
    [
      'another header under the old signature',
      () => {
        const [, payload = '', signature = ''] = token.split('.')
        return `${encode({ alg: 'RS256', typ: 'JWT', kid, x: 1 })}.${payload}.${signature}`
      },
    ],
    ['an unknown kid', async () => signedBy(app, claims, { kid: randomUUID() })],
    ['a kid of no sense', async () => signedBy(app, claims, { kid: "' OR 1=1 --" })],
    ['no kid', async () => signedBy(app, claims, { kid: undefined as unknown as string })],
    [
      "a stranger's key under our kid",
      () => new SignJWT(claims).setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid }).sign(foreign.privateKey),
    ],
    [
      "a stranger's key in jwk",
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'RS256', typ: 'JWT', jwk: foreign.publicKey.export({ format: 'jwk' }) as never })
          .sign(foreign.privateKey),
    ],
    [
      "a stranger's key behind jku and x5u",
      () =>
        new SignJWT(claims)
          .setProtectedHeader({
            alg: 'RS256',
            typ: 'JWT',
            kid: 'theirs',
            jku: 'https://evil.test/k',
            x5u: 'https://evil.test/c',
          })
          .sign(foreign.privateKey),
    ],
    [
      'a critical header that we do not know',
      () => {
        const header = { alg: 'RS256', typ: 'JWT', kid, crit: ['exp'], exp: now() + 60 }
        return `${encode(header)}.${token.split('.').slice(1).join('.')}`
      },
    ],
    ['another typ', async () => signedBy(app, claims, { typ: 'at+jwt' })],
    ['exp in the past', async () => signedBy(app, { ...claims, exp: now() - 1 })],
    ['exp now', async () => signedBy(app, { ...claims, exp: now() })],
    ['no exp', async () => signedBy(app, without('exp'))],
    ['no nbf', async () => signedBy(app, without('nbf'))],
    ['no sub', async () => signedBy(app, without('sub'))],
    ['exp as text', async () => signedBy(app, { ...claims, exp: '9999999999' as unknown as number })],
    ['nbf in the future', async () => signedBy(app, { ...claims, nbf: now() + 60 })],
    ['another issuer', async () => signedBy(app, { ...claims, iss: 'Somebody' })],
    ['no issuer', async () => signedBy(app, without('iss'))],
    ['another audience', async () => signedBy(app, { ...claims, aud: 'other.localhost' })],
    ['an audience with a port', async () => signedBy(app, { ...claims, aud: `berth.localhost:${app.port}` })],
    ['no audience', async () => signedBy(app, without('aud'))],
    ['no grant type', async () => signedBy(app, without('grant_type'))],
    ['four parts', () => `${token}.x`],
    ['two parts', () => token.split('.').slice(0, 2).join('.')],
    ['a space inside', () => token.replace('.', ' .')],
    ['a null byte of JSON', () => `${Buffer.from('null').toString('base64url')}.${encode(claims)}.AAAA`],
  ]

  const without = (name: string) => Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name))

  for (const [what, forge] of forgeries) {
    test(`with ${what} is refused`, async () => {
      const forged = await forge()
      if (forged.includes(' ')) {
        assert.equal((await app.fetch('/v2/', { headers: bearer(forged) })).status, 401)
        return
      }
      await isRefused(forged)
    })
  }

  test('for refreshing opens nothing as a bearer', async () => {
    const refresh = await signedBy(app, { ...claims, grant_type: 'refresh_token', tenant: nullGuid })
    const response = await app.fetch('/v2/', { headers: bearer(refresh) })
    assert.equal(response.status, 401)
    assert.equal(challengeOf(response).error, 'invalid_token')
  })

  test('of great length is refused unread, though it is signed', async () => {
    const grant = async (length: number) => {
      const padding = 'x'.repeat(length)
      const refresh_token = await signedBy(app, { ...claims, grant_type: 'refresh_token', padding })
      const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token })
      return (await app.fetch('/oauth2/token', { method: 'POST', body })).status
    }
    assert.equal(await grant(8_000), 200)
    assert.equal(await grant(20_000), 401)
  })

  test('with a changed bit in its signature is refused', async () => {
    const [header, payload, signature = ''] = token.split('.')
    const bytes = Buffer.from(signature, 'base64url')
    bytes[100] = (bytes[100] ?? 0) ^ 1
    await isRefused(`${header}.${payload}.${bytes.toString('base64url')}`)
  })
})

describe('signing keys over time', () => {
  test('a rotation keeps older tokens good until they expire, and signs new ones with another key', async () => {
    await using app = await startTestApp()
    const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
    const old = await tokenFor(app, [])
    app.clock.advance(60_000)
    await app.signingKeys.rotate()
    const young = await tokenFor(app, [])
    assert.notEqual(kidOf(young), kidOf(old))
    for (const token of [old, young]) {
      assert.equal((await app.fetch('/v2/', { headers: bearer(token) })).status, 200)
    }
    app.clock.advance(74 * 60_000)
    assert.equal((await app.fetch('/v2/', { headers: bearer(old) })).status, 401)
    assert.equal((await app.fetch('/v2/', { headers: bearer(young) })).status, 200)
    app.clock.advance(60_000)
    assert.equal((await app.fetch('/v2/', { headers: bearer(young) })).status, 401)
  })
})
