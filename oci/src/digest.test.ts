import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { algorithmOf, type DigestAlgorithm, digestOf, hexOf, parseDigest, toDigest } from './digest.ts'

const hexDigits = { sha256: 64, sha512: 128 }

describe('digest', () => {
  for (const algorithm of ['sha256', 'sha512'] as const satisfies DigestAlgorithm[]) {
    test(`a ${algorithm} digest has ${hexDigits[algorithm]} lower-case hex digits`, () => {
      const hex = 'a1'.repeat(hexDigits[algorithm] / 2)
      const digest = parseDigest(`${algorithm}:${hex}`)
      assert.equal(digest, `${algorithm}:${hex}`)
      assert.equal(algorithmOf(digest!), algorithm)
      assert.equal(hexOf(digest!), hex)
    })

    test(`a ${algorithm} digest of bytes is the algorithm and the hash in hex`, () => {
      const bytes = Buffer.from('content')
      const hex = createHash(algorithm).update(bytes).digest('hex')
      assert.equal(digestOf(algorithm, bytes), `${algorithm}:${hex}`)
      assert.equal(toDigest(algorithm, hex), `${algorithm}:${hex}`)
    })
  }

  for (const [what, text] of [
    ['empty text', ''],
    ['a missing algorithm', 'a'.repeat(64)],
    ['a missing hash', 'sha256:'],
    ['63 digits', `sha256:${'a'.repeat(63)}`],
    ['65 digits', `sha256:${'a'.repeat(65)}`],
    ['upper-case digits', `sha256:${'A'.repeat(64)}`],
    ['letters beyond f', `sha256:${'g'.repeat(64)}`],
    ['an upper-case algorithm', `SHA256:${'a'.repeat(64)}`],
    ['the length of sha256 for sha512', `sha512:${'a'.repeat(64)}`],
    ['the length of sha512 for sha256', `sha256:${'a'.repeat(128)}`],
    ['another algorithm', `md5:${'a'.repeat(32)}`],
    ['a line feed after it', `sha256:${'a'.repeat(64)}\n`],
    ['a space before it', ` sha256:${'a'.repeat(64)}`],
    ['a path inside', `sha256:../${'a'.repeat(61)}`],
    ['a megabyte of digits', `sha256:${'a'.repeat(1 << 20)}`],
  ] as const) {
    test(`a digest is not valid with ${what}`, () => assert.equal(parseDigest(text), undefined))
  }

  test('a hash that cannot be one is a bug and throws', () => {
    assert.throws(() => toDigest('sha256', 'abc'), /not a sha256 hash/)
  })
})
