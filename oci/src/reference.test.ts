import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isRepositoryName, isTag, parseReference } from './reference.ts'

const megabyte = 1 << 20

describe('repository name', () => {
  for (const name of [
    'a',
    '0',
    'library/hello-world',
    'a.b_c__d-e---f',
    'a/b/c/d/e',
    'x'.repeat(255),
    `a${'-'.repeat(253)}a`,
    Array(128).fill('a').join('/'),
  ]) {
    test(`${shown(name)} is valid`, () => assert.ok(isRepositoryName(name)))
  }

  for (const name of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'ä',
    'a b',
    'a\n',
    'a:b',
    'a%2fb',
    '.',
    '..',
    'a/../b',
    '-a',
    'a-',
    '_a',
    'a_',
    'a___b',
    'a..b',
    'a._b',
    'a.-b',
    'a-_b',
    'a/-b',
    'x'.repeat(256),
  ]) {
    test(`${shown(name)} is not valid`, () => assert.equal(isRepositoryName(name), false))
  }

  // Text that makes a careless pattern try exponentially many ways; within the limit, and far beyond it.
  for (const unit of ['a', 'a-', 'a_', '_', '-', 'a/', '/', 'a.a', 'a__', '\0', '💥']) {
    for (const length of [254, megabyte]) {
      test(`${length} characters of ${JSON.stringify(unit)} and an exclamation mark are refused in no time`, () => {
        const name = `${unit.repeat(length / unit.length)}!`
        const before = performance.now()
        for (let round = 0; round < 10; round++) assert.equal(isRepositoryName(name), false)
        assert.ok(performance.now() - before < 500)
      })
    }
  }
})

describe('tag', () => {
  for (const tag of ['latest', 'V1.0', '_', '0', 'a-b.c_d', 'a'.repeat(128), 'sha256-abc', 'a..', 'a--']) {
    test(`${shown(tag)} is valid`, () => assert.ok(isTag(tag)))
  }
  for (const tag of ['', '.a', '-a', 'a/b', 'a:b', 'a b', 'a\n', 'é', 'a'.repeat(129), 'a'.repeat(megabyte)]) {
    test(`${shown(tag)} is not valid`, () => assert.equal(isTag(tag), false))
  }
})

describe('reference', () => {
  const digest = `sha256:${'0'.repeat(64)}`

  test('text with a colon is a digest', () => assert.deepEqual(parseReference(digest), { digest }))
  test('text without a colon is a tag', () => assert.deepEqual(parseReference('v1'), { tag: 'v1' }))
  for (const text of ['', 'v1:2', 'sha256:abc', 'md5:00', '.v1', `${digest}:`]) {
    test(`${shown(text)} is neither digest nor tag`, () => assert.equal(parseReference(text), undefined))
  }
})

function shown(text: string): string {
  return text.length > 40 ? `${JSON.stringify(text.slice(0, 10))}… (${text.length})` : JSON.stringify(text)
}
