import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { manualClock } from '../../base/clock.ts'
import { isFault } from '../../base/fault.ts'
import { createRegistryTokens, refreshTokenSeconds } from './registry-tokens.ts'
import type { SigningKeys } from './signing-keys.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

const subject = { subject: 'berth', audience: 'berth.localhost' }
const access = [{ type: 'repository', name: 'a', actions: ['pull'] }]

function start() {
  const clock = manualClock()
  let lookUps = 0
  const keys: SigningKeys = {
    getSigningKey: async () => ({ kid: 'one', privateKey }),
    findVerificationKey: async (kid) => {
      lookUps++
      return kid === 'one' ? publicKey : undefined
    },
    rotate: async () => undefined,
  }
  return { clock, tokens: createRegistryTokens(keys, clock), lookUps: () => lookUps }
}

const refused = (error: unknown) => isFault(error, 'unauthenticated') && error.detail.reason === 'tokenInvalid'

describe('an access token', () => {
  test('says when it is read what was written into it', async () => {
    const { tokens, clock } = start()
    const expiresAt = clock.now() + 75 * 60_000
    for (const token of [
      { ...subject, access, mountFrom: ['*'] },
      { ...subject, access: [], mountFrom: [] },
    ]) {
      const { token: text } = await tokens.issueAccessToken(token)
      assert.deepEqual(await tokens.verifyAccessToken(text, 'berth.localhost'), { ...token, expiresAt })
    }
  })

  test('may end earlier than usual, and never later', async () => {
    const { tokens, clock } = start()
    for (const [asked, minutes] of [
      [10, 10],
      [1_000, 75],
    ] as const) {
      const expiresAt = clock.now() + asked * 60_000
      const { token: text } = await tokens.issueAccessToken({ ...subject, access, mountFrom: [], expiresAt })
      const { expiresAt: end } = await tokens.verifyAccessToken(text, 'berth.localhost')
      assert.equal(end, clock.now() + minutes * 60_000)
    }
  })

  test('lives for 75 minutes, also where it is remembered', async () => {
    const { tokens, clock } = start()
    const { token: text } = await tokens.issueAccessToken({ ...subject, access, mountFrom: [] })
    await tokens.verifyAccessToken(text, 'berth.localhost')
    clock.advance(75 * 60_000 - 1_000)
    await tokens.verifyAccessToken(text, 'berth.localhost')
    clock.advance(1_000)
    await assert.rejects(tokens.verifyAccessToken(text, 'berth.localhost'), refused)
  })

  test('is good on a node whose clock is up to a minute behind, and no further', async () => {
    const { tokens, clock } = start()
    const { token: text } = await tokens.issueAccessToken({ ...subject, access, mountFrom: [] })
    clock.advance(-61_000)
    await assert.rejects(tokens.verifyAccessToken(text, 'berth.localhost'), refused)
    clock.advance(1_000)
    await tokens.verifyAccessToken(text, 'berth.localhost')
  })

  test('is verified once and remembered, for its audience alone', async () => {
    const { tokens, lookUps } = start()
    const { token: text } = await tokens.issueAccessToken({ ...subject, access, mountFrom: [] })
    for (let count = 0; count < 5; count++) await tokens.verifyAccessToken(text, 'berth.localhost')
    assert.equal(lookUps(), 1)
    await assert.rejects(tokens.verifyAccessToken(text, 'other.localhost'), refused)
    await tokens.verifyAccessToken(text, 'berth.localhost')
  })

  test('is no refresh token, and a refresh token none', async () => {
    const { tokens, clock } = start()
    const { token: text } = await tokens.issueAccessToken({ ...subject, access, mountFrom: [] })
    const refresh = await tokens.issueRefreshToken({ ...subject, tenant: 't' })
    await assert.rejects(tokens.verifyRefreshToken(text, 'berth.localhost'), refused)
    await assert.rejects(tokens.verifyAccessToken(refresh, 'berth.localhost'), refused)
    const { expiresAt, ...verified } = await tokens.verifyRefreshToken(refresh, 'berth.localhost')
    assert.deepEqual(verified, subject)
    assert.equal(expiresAt, clock.now() + refreshTokenSeconds * 1000)
  })
})

describe('a refresh token', () => {
  test('has a numeric exp three hours away, its tenant, and no aad_identity', async () => {
    const { tokens, clock } = start()
    const tenant = '00000000-0000-4000-8000-000000000000'
    const text = await tokens.issueRefreshToken({ ...subject, tenant })
    assert.equal(text.split('.').length, 3)
    const claims = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString())
    assert.equal(claims.exp, Math.floor(clock.now() / 1000) + 3 * 60 * 60)
    assert.equal(claims.tenant, tenant)
    assert.deepEqual(claims.permissions, { actions: ['*'], notActions: [] })
    assert.equal('aad_identity' in claims, false)
  })

  test("has a payload that reads alike in base64's two alphabets, because one SDK takes the wrong one", async () => {
    const { tokens, clock } = start()
    for (let count = 0; count < 300; count++) {
      clock.advance(997)
      const names = ['berth', 'myreg0', 'someone@example.com', 'x'.repeat(count % 7)]
      const text = await tokens.issueRefreshToken({
        subject: names[count % names.length] ?? '',
        audience: 'berth.localhost',
        tenant: crypto.randomUUID(),
      })
      assert.match(text.split('.')[1] ?? '', /^[A-Za-z0-9]+$/)
    }
  })
})
