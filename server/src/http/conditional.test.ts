import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { entityTag, notModified, preconditionFailed, rangeAllowed } from './conditional.ts'

const digest = 'sha256:abc'

describe('entity tag', () => {
  test('is the digest in quotes', () => {
    assert.equal(entityTag(digest), '"sha256:abc"')
  })

  for (const [value, matches] of [
    ['"sha256:abc"', true],
    ['sha256:abc', true],
    ['W/"sha256:abc"', true],
    [' "x" ,  "sha256:abc" ', true],
    ['*', true],
    ['"x", *', true],
    ['"x"', false],
    ['', false],
    ['"sha256:abc', false],
    ['"sha256:abcd"', false],
    ['"SHA256:ABC"', false],
  ] as const) {
    test(`If-None-Match: ${value} › ${matches ? '' : 'not '}the one we have`, () => {
      assert.equal(notModified({ 'if-none-match': value }, digest), matches)
    })

    test(`If-Match: ${value} › the precondition ${matches ? 'holds' : 'fails'}`, () => {
      assert.equal(preconditionFailed({ 'if-match': value }, digest), !matches)
    })
  }

  test('without a condition nothing fails and nothing is left out', () => {
    assert.equal(notModified({}, digest), false)
    assert.equal(preconditionFailed({}, digest), false)
    assert.equal(rangeAllowed({}, digest), true)
  })

  for (const [value, allowed] of [
    ['"sha256:abc"', true],
    ['W/"sha256:abc"', false],
    ['"x"', false],
    ['*', false],
    ['Wed, 21 Oct 2026 07:28:00 GMT', false],
  ] as const) {
    test(`If-Range: ${value} › ${allowed ? 'a part' : 'the whole'}`, () => {
      assert.equal(rangeAllowed({ 'if-range': value }, digest), allowed)
    })
  }
})
