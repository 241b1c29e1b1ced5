import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isFault } from '../base/fault.ts'
import { empty } from './reply.ts'
import { type Method, nobody, type Route } from './route.ts'
import { createRouter } from './router.ts'

const aRoute = (path: string, ...methods: Method[]): Route => ({
  methods,
  path,
  needs: nobody,
  spec: 'none',
  handle: () => empty(200),
})

const digest = `sha256:${'0'.repeat(64)}`
const router = createRouter([
  aRoute('/v2/', 'GET'),
  aRoute('/v2/{repository}/manifests/{reference}', 'GET', 'HEAD'),
  aRoute('/v2/{repository}/manifests/{reference}', 'PUT'),
  aRoute('/v2/{repository}/blobs/uploads/{session}', 'PATCH'),
  aRoute('/v2/{repository}/blobs/{digest}', 'GET'),
  aRoute('/x.y', 'GET'),
])

describe('router', () => {
  for (const [path, parameters] of [
    ['/v2/a/manifests/v1', { repository: 'a', reference: { tag: 'v1' } }],
    ['/v2/a/b/c/manifests/v1', { repository: 'a/b/c', reference: { tag: 'v1' } }],
    [`/v2/a/manifests/${digest}`, { repository: 'a', reference: { digest } }],
    ['/v2/manifests/manifests/manifests/v1', { repository: 'manifests/manifests', reference: { tag: 'v1' } }],
    [`/v2/a/blobs/b/blobs/${digest}`, { repository: 'a/blobs/b', digest }],
  ] as const) {
    test(`GET ${path.slice(0, 40)} › the last marker decides, and values are parsed`, () => {
      assert.deepEqual(router.find('GET', path)?.parameters, parameters)
    })
  }

  test('a session is taken as it is', () => {
    assert.deepEqual(router.find('PATCH', '/v2/a/blobs/uploads/%$ x')?.parameters, { repository: 'a', session: '%$ x' })
  })

  test('the route of the right method is found among several of one path', () => {
    assert.deepEqual(router.find('PUT', '/v2/a/manifests/v1')?.route.methods, ['PUT'])
    assert.deepEqual(router.find('HEAD', '/v2/a/manifests/v1')?.route.methods, ['GET', 'HEAD'])
  })

  for (const path of [
    '',
    '/',
    '/v2',
    '/v2//',
    '/v2/a',
    '/v2/a/manifests/',
    '/v2/a/manifests/b/c',
    '/xzy',
    '/x.y/',
    '//v2/',
  ]) {
    test(`"${path}" › no route`, () => {
      assert.equal(router.find('GET', path), undefined)
    })
  }

  test('another method › methodNotAllowed with all that are allowed, once each', () => {
    for (const method of ['DELETE', 'get', 'PROPFIND']) {
      assert.throws(
        () => router.find(method, '/v2/a/manifests/v1'),
        (error) => isFault(error, 'methodNotAllowed') && error.detail.allow.join() === 'GET,HEAD,PUT',
      )
    }
  })

  for (const [path, code] of [
    ['/v2/A/manifests/v1', 'nameInvalid'],
    ['/v2/a//b/manifests/v1', 'nameInvalid'],
    ['/v2/a\n/manifests/v1', 'nameInvalid'],
    ['/v2/a/manifests/-x', 'tagInvalid'],
    ['/v2/a/manifests/sha256:x', 'digestInvalid'],
    ['/v2/a/blobs/latest', 'digestInvalid'],
  ] as const) {
    test(`${JSON.stringify(path)} › ${code}`, () => {
      assert.throws(
        () => router.find('GET', path),
        (error) => isFault(error, code),
      )
    })
  }

  test('takes a long path in a moment', () => {
    const started = performance.now()
    assert.throws(() => router.find('GET', `/v2/${'a/manifests/'.repeat(20_000)}v1`))
    assert.equal(router.find('GET', `/v2/${'blobs/uploads/'.repeat(20_000)}`), undefined)
    assert.ok(performance.now() - started < 1_000)
  })

  test('an unknown placeholder is a bug, found when the server starts', () => {
    assert.throws(() => createRouter([aRoute('/v2/{nonsense}', 'GET')]), /unknown placeholder \{nonsense\}/)
  })
})
