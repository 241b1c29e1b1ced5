import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopback } from './loopback.ts'

test('loopback is 127.0.0.0/8 and ::1, and never a name', () => {
  for (const address of ['127.0.0.1', '127.255.0.3', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(address), address)
  for (const address of ['128.0.0.1', '10.127.0.1', '::2', 'localhost', '127.example.com', '127.0.0.1.example.com']) {
    assert.ok(!isLoopback(address), address)
  }
})
