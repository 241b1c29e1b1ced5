import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closest } from './closest.ts'

test('the closest name is a few slips of the keyboard away, or there is none', () => {
  const names = ['port', 'host', 'drain-seconds', 'tls-cert']
  assert.equal(closest('prot', names), 'port')
  assert.equal(closest('ports', names), 'port')
  assert.equal(closest('drainSecond', names), 'drain-seconds')
  assert.equal(closest('TLS_CERT', names), 'tls-cert')
  assert.equal(closest('elephant', names), undefined)
  assert.equal(closest('', names), undefined)
})
