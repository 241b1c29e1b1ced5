import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAuthorization } from './credential.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('Authorization', () => {
  for (const [header, username, password] of [
    [`Basic ${base64('berth:secret')}`, 'berth', 'secret'],
    [`basic  ${base64('berth:secret')} `, 'berth', 'secret'],
    [`BASIC ${base64('berth:se:cr:et')}`, 'berth', 'se:cr:et'],
    [`Basic ${base64(':')}`, '', ''],
    [`Basic ${base64('w\u00e9rt:p\u00e4ss')}`, 'w\u00e9rt', 'p\u00e4ss'],
    [`Basic ${base64('a:b').replaceAll('=', '')}`, 'a', 'b'],
  ] as const) {
    test(`${header} › user and password`, () => {
      assert.deepEqual(parseAuthorization(header), { kind: 'basic', username, password })
    })
  }

  test('a bearer token is taken as it is', () => {
    assert.deepEqual(parseAuthorization('Bearer a.b-c_d=='), { kind: 'bearer', token: 'a.b-c_d==' })
    assert.deepEqual(parseAuthorization('bearer x'), { kind: 'bearer', token: 'x' })
  })

  test('none is anonymous', () => {
    assert.deepEqual(parseAuthorization(undefined), { kind: 'anonymous' })
  })

  for (const header of [
    '',
    'Basic',
    'Basic ',
    'Bearer',
    'Bearer a b',
    `Basic ${base64('berth')}`,
    'Basic a_b-',
    'Basic =',
    'Digest x',
    'Bearerx',
    'Bearer \u00e9',
  ]) {
    test(`"${header}" › not understood, which is not anonymous`, () => {
      assert.equal(parseAuthorization(header), undefined)
    })
  }
})
