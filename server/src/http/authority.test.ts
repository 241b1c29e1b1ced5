import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isFault } from '../base/fault.ts'
import { addressList } from './address-list.ts'
import { type Connection, createClientView, plainAddress, splitAuthority } from './authority.ts'

interface Given {
  readonly remote?: string
  readonly encrypted?: boolean
  readonly headers?: Readonly<Record<string, string>>
  readonly hosts?: readonly string[]
}

function aMessage({ remote = '198.51.100.9', encrypted = false, headers = {}, hosts }: Given): Connection {
  const all = { host: hosts?.[0] ?? 'localhost', ...headers }
  return { peerAddress: plainAddress(remote), encrypted, headers: all, hostLines: hosts?.length ?? 1 }
}

const proxies = createClientView(addressList(['10.0.0.0/8', '::1']))

describe('client view', () => {
  test('is what the connection says', () => {
    const headers = { host: 'LOCALHOST:8443' }
    assert.deepEqual(proxies(aMessage({ encrypted: true, headers })), {
      scheme: 'https',
      authority: 'localhost:8443',
      remoteAddress: '198.51.100.9',
    })
    assert.equal(proxies(aMessage({})).scheme, 'http')
  })

  test('shows an IPv4-mapped address as IPv4', () => {
    assert.equal(proxies(aMessage({ remote: '::ffff:192.0.2.1' })).remoteAddress, '192.0.2.1')
    assert.equal(proxies(aMessage({ remote: '2001:db8::1' })).remoteAddress, '2001:db8::1')
  })

  const forwarded = {
    host: 'inside',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'Outside.example.com:444',
    'x-forwarded-for': '203.0.113.1',
  }

  test('believes a trusted proxy', () => {
    for (const remote of ['10.1.2.3', '::ffff:10.1.2.3', '::1']) {
      assert.deepEqual(proxies(aMessage({ remote, headers: forwarded })), {
        scheme: 'https',
        authority: 'outside.example.com:444',
        remoteAddress: '203.0.113.1',
      })
    }
  })

  test('believes nobody else', () => {
    for (const remote of ['11.0.0.1', '127.0.0.1', '::2', '']) {
      assert.deepEqual(proxies(aMessage({ remote, headers: forwarded })), {
        scheme: 'http',
        authority: 'inside',
        remoteAddress: remote,
      })
    }
  })

  for (const [chain, client] of [
    ['203.0.113.1', '203.0.113.1'],
    ['1.2.3.4, 203.0.113.1', '203.0.113.1'],
    ['203.0.113.1, 10.9.9.9', '203.0.113.1'],
    ['spoofed, 203.0.113.1,10.9.9.9, 10.8.8.8', '203.0.113.1'],
    ['10.9.9.9, 10.8.8.8', '10.9.9.9'],
    ['::ffff:203.0.113.1', '203.0.113.1'],
    ['unknown', '10.0.0.1'],
    ['', '10.0.0.1'],
  ] as const) {
    test(`X-Forwarded-For: ${chain} › ${client}`, () => {
      const headers = { 'x-forwarded-for': chain }
      assert.equal(proxies(aMessage({ remote: '10.0.0.1', headers })).remoteAddress, client)
    })
  }

  test('of several proxies, the one next to us is believed about scheme and host', () => {
    const headers = { 'x-forwarded-proto': 'http, https', 'x-forwarded-host': 'evil.test, good.test' }
    const view = proxies(aMessage({ remote: '10.0.0.1', headers }))
    assert.deepEqual([view.scheme, view.authority], ['https', 'good.test'])
  })

  test('a scheme that is none is not believed', () => {
    const headers = { 'x-forwarded-proto': 'javascript' }
    assert.equal(proxies(aMessage({ remote: '10.0.0.1', headers })).scheme, 'http')
  })

  for (const host of [
    '',
    'a b',
    'a"b',

    'a/b',
    'a@b',
    'a:',
    'a:123456',
    '-a',
    'a-',
    '.a',
    '[::1',
    'a\u00e9',
    '[zz]',
  ]) {
    test(`the host ${JSON.stringify(host)} is refused, also when it is forwarded`, () => {
      const refused = (error: unknown) => isFault(error, 'requestInvalid')
      assert.throws(() => proxies(aMessage({ hosts: [host] })), refused)
      assert.throws(() => proxies(aMessage({ remote: '10.0.0.1', headers: { 'x-forwarded-host': host } })), refused)
    })
  }

  test('two Host headers are refused', () => {
    assert.throws(
      () => proxies(aMessage({ hosts: ['a.localhost', 'b.localhost'] })),
      (error) => isFault(error, 'requestInvalid'),
    )
  })
})

describe('authorities', () => {
  for (const [text, host, port] of [
    ['localhost', 'localhost', undefined],
    ['localhost:8443', 'localhost', 8443],
    ['[::1]', '[::1]', undefined],
    ['[::1]:8443', '[::1]', 8443],
    ['127.0.0.1:1', '127.0.0.1', 1],
  ] as const) {
    test(`${text} is the host ${host} and the port ${port}`, () => {
      assert.deepEqual(splitAuthority(text), { host, port })
    })
  }
})

describe('address lists', () => {
  test('hold addresses and networks of both families', () => {
    const inside = addressList(['192.0.2.7', '10.0.0.0/8', '2001:db8::/32'])
    for (const address of ['192.0.2.7', '10.255.0.1', '2001:db8:ffff::1']) assert.ok(inside(address), address)
    for (const address of ['192.0.2.8', '11.0.0.1', '2001:db9::1', 'localhost', ''])
      assert.ok(!inside(address), address)
    assert.ok(!addressList([])('127.0.0.1'))
  })
})
