import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodeNameConstraints, permits } from './name-constraints.ts'
import { isWithin, parseName } from './names.ts'

suite('names', () => {
  test('have one spelling', () => {
    const spellings = [
      ['Berth.LocalHost.', 'berth.localhost'],
      ['[::1]', '::1'],
      ['0:0:0:0:0:0:0:1', '::1'],
      ['::ffff:127.0.0.1', '127.0.0.1'],
      ['a_b.example', 'a_b.example'],
    ] as const
    for (const [text, name] of spellings) assert.equal(parseName(text), name)
    for (const text of ['', '.', 'a..b', '*.localhost', '-a', 'a b', 'fe80::1%eth0', 'a/b', 'x'.repeat(64)]) {
      assert.equal(parseName(text), undefined, text)
    }
  })

  test('are within a parent by whole labels', () => {
    const parents = ['localhost', 'example.com']
    for (const name of ['localhost', 'a.b.localhost', 'eu.example.com', '127.1.2.3', '::1'])
      assert.ok(isWithin(name, parents), name)
    for (const name of ['notlocalhost', 'com', 'example.com.evil', '128.0.0.1', '::2'])
      assert.ok(!isWithin(name, parents), name)
  })

  test('pass the constraints that were encoded for them or for a parent', () => {
    const certificate = encodeNameConstraints(['localhost', 'example.com', '10.1.2.3', '127.0.0.0/8', '::1/128'])
    for (const name of ['localhost', 'a.localhost', 'b.a.example.com', '10.1.2.3', '127.5.5.5', '::1']) {
      assert.ok(permits(certificate, name), name)
    }
    for (const name of ['com', 'ample.com', 'example.org', '10.1.2.4', '::2'])
      assert.ok(!permits(certificate, name), name)
  })

  test('are encoded with long lengths too', () => {
    const many = Array.from({ length: 40 }, (_, index) => `registry-${index}.example.com`)
    const der = encodeNameConstraints(many)
    assert.deepEqual([...der.subarray(0, 2)], [0x30, 0x82])
    assert.equal(der.readUInt16BE(2), der.length - 4)
  })
})
