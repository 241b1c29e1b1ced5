import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { startTestApp, type TestApp } from '../../../test/app.ts'
import { claimsOf } from '../../../test/wire.ts'
import { isFault } from '../../base/fault.ts'
import { listRepositories, parseScope, pull, push, type Scope } from '../../base/scope.ts'
import type { Door } from './access.ts'
import { type Credential, nullGuid } from './credential.ts'

const door: Door = { registry: 'berth', audience: 'berth.localhost', address: '192.0.2.1' }
const everything = parseScope('repository:*:*') as Scope

const unknown = (error: unknown) => isFault(error, 'registryUnknown')
const unauthenticated = (error: unknown) => isFault(error, 'unauthenticated')

describe('access', () => {
  let app: TestApp & AsyncDisposable
  let admin: Credential
  beforeEach(async () => {
    app = await startTestApp()
    admin = { kind: 'basic', username: 'berth', password: app.password }
  })
  afterEach(() => app[Symbol.asyncDispose]())

  async function tokenOf(
    scopes: readonly Scope[],
    credential: Credential = admin,
  ): Promise<Credential & { token: string }> {
    const principal = await app.access.authenticate(credential, door)
    const { token } = await app.access.issueAccessToken(principal, scopes, door)
    return { kind: 'bearer', token }
  }

  test('a password lets its owner do what was needed, and everything else', async () => {
    const holder = await app.access.authorize(admin, [push('a')], door)
    assert.equal(holder.subject, 'berth')
    assert.ok(holder.may(pull('b')) && holder.may(listRepositories) && holder.mayMountFrom('c'))
  })

  test('a refusal names the needs of the request', async () => {
    for (const credential of [undefined, { kind: 'anonymous' }, { ...admin, password: 'x' }] as const) {
      await assert.rejects(
        app.access.authorize(credential as Credential | undefined, [pull('a')], door),
        (error) => isFault(error, 'unauthenticated') && error.detail.scopes[0]?.name === 'a',
      )
    }
  })

  test('a token that does not reach is scopeInsufficient, with the needs', async () => {
    const token = await tokenOf([pull('a')])
    await app.access.authorize(token, [pull('a')], door)
    await assert.rejects(
      app.access.authorize(token, [pull('a'), push('b')], door),
      (error) => isFault(error, 'scopeInsufficient') && error.detail.scopes.length === 2,
    )
  })

  test('every need must be reached', async () => {
    const token = await tokenOf([pull('a'), pull('b')])
    await app.access.authorize(token, [pull('a'), pull('b')], door)
    await assert.rejects(app.access.authorize(token, [pull('a'), pull('c')], door), (error) =>
      isFault(error, 'scopeInsufficient'),
    )
  })

  test("the admin's push token may mount from everywhere, a pull token from what it can pull", async () => {
    const pushing = await app.access.authorize(await tokenOf([push('a')]), [push('a')], door)
    assert.ok(pushing.mayMountFrom('elsewhere'))
    assert.ok(!pushing.may(pull('elsewhere')))
    const pulling = await app.access.authorize(await tokenOf([pull('a')]), [pull('a')], door)
    assert.deepEqual([pulling.mayMountFrom('a'), pulling.mayMountFrom('elsewhere')], [true, false])
  })

  test('a token made from a token is no wider, in what it pulls and in what it mounts', async () => {
    const narrow = await tokenOf([push('a')])
    for (const credential of [narrow, { kind: 'basic', username: nullGuid, password: narrow.token } as const]) {
      const { token } = await tokenOf([everything, listRepositories, push('a'), pull('b')], credential)
      assert.deepEqual(claimsOf(token).access, [{ type: 'repository', name: 'a', actions: ['pull', 'push'] }])
      const holder = await app.access.authorize({ kind: 'bearer', token }, [], door)
      assert.equal(holder.mayMountFrom('b'), false)
    }
  })

  test('a refresh token is as good as its owner is now', async () => {
    const refresh = await app.access.issueAdminRefreshToken(door)
    const principal = await app.access.authenticateRefreshToken(refresh, door)
    assert.deepEqual([principal.subject, principal.kind], ['berth', 'admin'])
    await app.registries.updateRegistry('berth', { adminUserEnabled: false })
    await assert.rejects(app.access.authenticateRefreshToken(refresh, door), unauthenticated)
  })

  test('a registry that does not exist lets nobody in', async () => {
    const nowhere: Door = { registry: 'nowhere', audience: 'nowhere.localhost', address: '192.0.2.1' }
    const refresh = await app.access.issueAdminRefreshToken(nowhere)
    for (const credential of [
      { kind: 'basic', username: 'nowhere', password: '' },
      { kind: 'basic', username: 'nowhere', password: 'undefined' },
      { kind: 'basic', username: nullGuid, password: refresh },
      { kind: 'anonymous' },
    ] as const) {
      await assert.rejects(app.access.authenticate(credential, nowhere), unknown)
    }
    await assert.rejects(app.access.authorize(undefined, [], nowhere), unknown)
    await assert.rejects(app.access.authenticateRefreshToken(refresh, nowhere), unauthenticated)
  })

  test('a token made from a token does not outlive it', async () => {
    const first = await tokenOf([pull('a')])
    app.clock.advance(30 * 60_000)
    const second = await tokenOf([pull('a')], first)
    assert.equal(claimsOf(second.token).exp, claimsOf(first.token).exp)
  })

  test('anybody is let in by authenticate where the registry says so, and never by authorize', async () => {
    const anybody: Credential = { kind: 'anonymous' }
    await assert.rejects(app.access.authenticate(anybody, door), unauthenticated)
    await app.registries.updateRegistry('berth', { anonymousPullEnabled: true })
    assert.equal((await app.access.authenticate(anybody, door)).kind, 'anonymous')
    await assert.rejects(app.access.authorize(anybody, [], door), unauthenticated)
  })

  test('a right password is counted by nobody, a wrong one is', async () => {
    const failures = async () =>
      (await app.db.read((tables) => tables.selectFrom('login_failures').select('subject').execute())).length
    await app.access.authenticate(admin, door)
    assert.equal(await failures(), 0)
    await assert.rejects(
      app.access.authenticate({ kind: 'basic', username: 'berth', password: '' }, door),
      unauthenticated,
    )
    assert.equal(await failures(), 2)
  })
})
