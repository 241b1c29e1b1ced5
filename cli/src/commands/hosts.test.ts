import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { clientAddress, findUnknown, hostsLine } from './hosts.ts'

suite('berth hosts', () => {
  test('names what the resolver does not know, in order', async () => {
    const known = new Set(['login.localhost'])
    const names = ['berth.localhost', 'login.localhost', 'portal.localhost']
    assert.deepEqual(await findUnknown(names, async (name) => known.has(name)), ['berth.localhost', 'portal.localhost'])
  })

  test('sends clients to the address that the server listens on, or to loopback', () => {
    const addresses = ['127.0.0.1', '0.0.0.0', '::', 'localhost', '10.1.2.3', '::1'].map(clientAddress)
    assert.deepEqual(addresses, ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1', '10.1.2.3', '::1'])
    assert.equal(hostsLine('127.0.0.1', 'berth.localhost'), '127.0.0.1 berth.localhost')
  })
})
