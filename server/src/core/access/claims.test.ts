import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { listRepositories, pull, push, readMetadata, remove, type Scope } from '../../base/scope.ts'
import { type AccessEntry, reaches } from './claims.ts'

const repository = (name: string, ...actions: string[]): AccessEntry => ({ type: 'repository', name, actions })
const registry = (name: string, ...actions: string[]): AccessEntry => ({ type: 'registry', name, actions })
const writeMetadata: Scope = { type: 'repository', name: 'a', actions: ['metadata_write'] }

describe('claims', () => {
  for (const [what, access, scope, expected] of [
    ['nothing', [], pull('a'), false],
    ['the action', [repository('a', 'pull')], pull('a'), true],
    ['another action', [repository('a', 'push')], pull('a'), false],
    ['one of two actions', [repository('a', 'push')], push('a'), false],
    ['both actions', [repository('a', 'push', 'pull')], push('a'), true],
    ['both actions in two entries', [repository('a', 'push'), repository('a', 'pull')], push('a'), true],
    ['another repository', [repository('b', 'pull')], pull('a'), false],
    ['a longer name', [repository('a/b', 'pull')], pull('a'), false],
    ['a shorter name', [repository('a', 'pull')], pull('a/b'), false],
    ['another letter case', [repository('A', 'pull')], pull('a'), false],
    ['every repository', [repository('*', 'delete')], remove('a/b/c'), true],
    ['every repository, another action', [repository('*', 'pull')], remove('a'), false],
    ['another type', [registry('a', 'pull')], pull('a'), false],
    ['pull, for metadata', [repository('a', 'pull')], readMetadata('a'), true],
    ['metadata, for pull', [repository('a', 'metadata_read')], pull('a'), false],
    ['push, for writing metadata', [repository('a', 'push')], writeMetadata, true],
    ['pull, for writing metadata', [repository('a', 'pull')], writeMetadata, false],
    ['the catalog', [registry('catalog', '*')], listRepositories, true],
    ['every name of the registry', [registry('*', '*')], listRepositories, false],
    ['every repository, for the catalog', [repository('*', '*')], listRepositories, false],
    ['* as an action, which stands for itself', [repository('a', '*')], pull('a'), false],
  ] as const) {
    test(`${what} › ${expected ? 'reaches' : 'does not reach'} ${scope.name}:${scope.actions}`, () => {
      assert.equal(reaches(access, scope), expected)
    })
  }
})
