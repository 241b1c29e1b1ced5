import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseRequestHead } from './request-head.ts'

const parse = (text: string) => parseRequestHead(Buffer.from(text, 'latin1'))
const get = (...lines: string[]) =>
  `GET /v2/ HTTP/1.1\r\nHost: localhost\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`

const put = (...lines: string[]) => get(...lines).replace('GET', 'PUT')

suite('the head of a plain request', () => {
  test('is its method, its target and its fields by lower-case name', () => {
    const head = parse(
      'HEAD /v2/a/b/blobs/x?n=1&last=%2f HTTP/1.1\r\nHOST: a:1\r\nX-Empty:\r\nUser-Agent: \t b c \r\n\r\n',
    )
    assert.equal(head?.method, 'HEAD')
    assert.equal(head?.target, '/v2/a/b/blobs/x?n=1&last=%2f')
    assert.deepEqual({ ...head?.fields.headers }, { host: 'a:1', 'x-empty': '', 'user-agent': 'b c' })
    assert.deepEqual(head?.fields.accept, [])
  })

  test('may name Accept in several lines, and nothing else', () => {
    const head = parse(get('Accept: a/b', 'accept: c/d;q=0.5, e/f'))
    assert.deepEqual(head?.fields.accept, ['a/b', 'c/d;q=0.5, e/f'])
    assert.equal(head?.fields.headers.accept, 'a/b, c/d;q=0.5, e/f')
    for (const name of ['Host', 'Authorization', 'X-Own', 'Range']) {
      assert.equal(parse(get(`${name}: a`, `${name.toLowerCase()}: b`)), undefined, name)
    }
  })

  test('may announce a body, of which some may have come', () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const head = parse(`${put('Content-Length: 5').replace('PUT', method)}ab`)
      assert.deepEqual([head?.method, head?.fields.bodyBytes, head?.rest.toString()], [method, 5, 'ab'])
      const without = parse(put().replace('PUT', method))
      assert.deepEqual([without?.method, without?.fields.bodyBytes, without?.rest.length], [method, undefined, 0])
    }
    assert.equal(parse(`${put('Content-Length: 005')}abcde`)?.fields.bodyBytes, 5)
    assert.equal(parse(put('Content-Length: 0'))?.fields.bodyBytes, 0)
    assert.equal(parse(put('Content-Length: 999999999999999'))?.fields.bodyBytes, 999_999_999_999_999)
  })

  test('is understood with names that objects know', () => {
    assert.deepEqual({ ...parse(get('constructor: a'))?.fields.headers }, { host: 'localhost', constructor: 'a' })
    const head = parse(get('__proto__: a'))
    assert.equal(Object.getPrototypeOf(head?.fields.headers), null)
    assert.deepEqual(Object.entries(head?.fields.headers ?? {}), [
      ['host', 'localhost'],
      ['__proto__', 'a'],
    ])
  })

  test('takes the fields of the last request again only when every byte is the same', () => {
    const first = parse(get('Authorization: Bearer abc'))
    const again = parseRequestHead(
      Buffer.from(get('Authorization: Bearer abc').replace('/v2/', '/v2/_catalog')),
      first?.fields,
    )
    assert.equal(again?.target, '/v2/_catalog')
    assert.equal(again?.fields, first?.fields)
    const other = parseRequestHead(Buffer.from(get('Authorization: Bearer abd')), first?.fields)
    assert.equal(other?.fields.headers.authorization, 'Bearer abd')
  })

  test('is read in no time, whatever is in it', () => {
    // Where the time grows with the square of the length, this takes longer than any test may.
    for (let i = 0; i < 400; i++) {
      for (const filling of [' ', '\t', ' \t', 'a ', ' a'])
        assert.equal(parse(get(`X:${filling.repeat(16_000 / filling.length)}\x01`)), undefined)
    }
  })

  const others: Readonly<Record<string, string>> = {
    'half a head': 'GET /v2/ HTTP/1.1\r\nHost: a\r\n',
    nothing: '\r\n\r\n',
    'two requests': get() + get(),
    'a request and the beginning of another': `${get()}GET`,
    'a GET with a body': `${get('Content-Length: 3')}abc`,
    'a GET with a body of no bytes': get('Content-Length: 0'),
    'more than the body': `${put('Content-Length: 3')}abcG`,
    'a body of unknown length': `${put()}abc`,
    'a length that is said twice': put('Content-Length: 3', 'Content-Length: 3'),
    'two lengths in one line': put('Content-Length: 3, 3'),
    'a length with a sign': put('Content-Length: +3'),
    'a length below nothing': put('Content-Length: -3'),
    'a hexadecimal length': put('Content-Length: 0x3'),
    'a length in parts': put('Content-Length: 1 0'),
    'an empty length': put('Content-Length:'),
    'a length that no number holds': put('Content-Length: 9007199254740993'),
    'a length and chunks': put('Content-Length: 3', 'Transfer-Encoding: chunked'),
    'a body that waits to be asked for': put('Content-Length: 3', 'Expect: 100-continue'),
    'a chunked body': get('Transfer-Encoding: chunked'),
    'an upgrade': get('Connection: Upgrade', 'Upgrade: h2c'),
    'an expectation': get('Expect: 100-continue'),
    'a connection that is to be closed': get('Connection: close'),
    'a connection option': get('Connection: keep-alive, x-own'),
    'another method': get().replace('GET', 'OPTIONS'),
    'a method in small letters': get().replace('GET', 'get'),
    'HTTP/1.0': get().replace('1.1', '1.0'),
    'an absolute target': get().replace('/v2/', 'http://localhost/v2/'),
    'no target': get().replace('/v2/ ', ''),
    'a space in the target': get().replace('/v2/', '/v2/ x'),
    'a tab for a space': get().replace('GET ', 'GET\t'),
    'a byte above ASCII in the target': get().replace('/v2/', '/v2/\xe9'),
    'a folded line': get('X-Own: a', ' b'),
    'a line without a colon': get('X-Own'),
    'a space before the colon': get('Content-Length : 3'),
    'a name with odd characters': get('X(Own): a'),
    'an empty name': get(': a'),
    'a bare line feed': get('X-Own: a\nTransfer-Encoding: chunked'),
    'a bare carriage return': get('X-Own: a\rTransfer-Encoding: chunked'),
    'a NUL': get('X-Own: a\0b'),
    'a byte above ASCII': get('X-Own: \xe9'),
    'an end of bare line feeds': get().replace('\r\n\r\n', '\n\n'),
    'more than 16 KiB': get(`X-Own: ${'a'.repeat(16 * 1024)}`),
  }
  for (const [what, text] of Object.entries(others)) {
    test(`is not ${what}`, () => assert.equal(parse(text), undefined))
  }
})
