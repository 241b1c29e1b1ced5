import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createHostRules } from './hosts.ts'

describe('hosts under localhost', () => {
  const { registryOf, audienceOf } = createHostRules('localhost', 'berth')

  for (const [authority, registry] of [
    ['localhost', 'berth'],
    ['localhost:8443', 'berth'],
    ['127.0.0.1:1', 'berth'],
    ['127.9.9.9', 'berth'],
    ['[::1]:8443', 'berth'],
    ['berth.localhost', 'berth'],
    ['myreg.localhost:8443', 'myreg'],
    ['login.localhost', undefined],
    ['management.localhost:8443', undefined],
    ['portal.localhost', undefined],
    ['a.b.localhost', undefined],
    ['localhost.example.com', undefined],
    ['myreglocalhost', undefined],
    ['example.com', undefined],
    ['10.0.0.1', undefined],
    ['127.example.com', undefined],
    ['127.0.0.1.example.com:8443', undefined],
    ['[::2]', undefined],
  ] as const) {
    test(`${authority} › ${registry ?? 'nobody'}`, () => {
      assert.equal(registryOf(authority), registry)
    })
  }

  test('an audience has no port', () => {
    assert.equal(audienceOf('myreg'), 'myreg.localhost')
  })
})

describe('hosts under a domain of its own', () => {
  const { registryOf, audienceOf } = createHostRules('registry.example.com', 'berth')

  for (const [authority, registry] of [
    ['myreg.registry.example.com', 'myreg'],
    ['myreg.registry.example.com:443', 'myreg'],
    ['registry.example.com', undefined],
    ['example.com', undefined],
    ['localhost', undefined],
    ['127.0.0.1', undefined],
    ['evilregistry.example.com', undefined],
    ['login.registry.example.com', undefined],
    ['myreg.eu.registry.example.com', undefined],
  ] as const) {
    test(`${authority} › ${registry ?? 'nobody'}`, () => {
      assert.equal(registryOf(authority), registry)
    })
  }

  test('an audience is the login server', () => {
    assert.equal(audienceOf('myreg'), 'myreg.registry.example.com')
  })
})
