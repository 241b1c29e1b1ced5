import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatScope, listRepositories, parseScope, parseScopes, pull, push, readMetadata, remove } from './scope.ts'

describe('scope', () => {
  for (const [text, type, name, actions] of [
    ['repository:team/app:pull', 'repository', 'team/app', ['pull']],
    ['repository:team/app:push,pull', 'repository', 'team/app', ['push', 'pull']],
    ['repository:localhost:5000/team/app:pull', 'repository', 'localhost:5000/team/app', ['pull']],
    ['registry:catalog:*', 'registry', 'catalog', ['*']],
    ['repository:a:pull,,pull,', 'repository', 'a', ['pull']],
    ['repository:a:', 'repository', 'a', []],
    ['repository(plugin):a:pull', 'repository(plugin)', 'a', ['pull']],
  ] as const) {
    test(`${text} › is read`, () => {
      assert.deepEqual(parseScope(text), { type, name, actions })
    })
  }

  for (const text of ['', 'repository', 'repository:a', ':a:pull', 'repository::pull', '::', ':']) {
    test(`"${text}" › is none`, () => {
      assert.equal(parseScope(text), undefined)
    })
  }

  test('several values hold several scopes each; what is none is passed over', () => {
    assert.deepEqual(parseScopes(['repository:a:pull  repository:b:push', '', 'garbage', 'registry:catalog:*']), [
      { type: 'repository', name: 'a', actions: ['pull'] },
      { type: 'repository', name: 'b', actions: ['push'] },
      listRepositories,
    ])
  })

  test('what is written is read back', () => {
    for (const scope of [pull('a'), push('a/b'), remove('h:1/a'), readMetadata('a'), listRepositories]) {
      assert.deepEqual(parseScope(formatScope(scope)), scope)
    }
    assert.equal(formatScope(push('a')), 'repository:a:pull,push')
  })
})
