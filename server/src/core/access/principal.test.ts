import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { adminPrincipal, anonymousPrincipal, type Principal, repositoryActions } from './principal.ts'

const granted = (principal: Principal, type: string, name: string, ...actions: string[]) =>
  principal.grant({ type, name, actions })

describe('the admin user', () => {
  const admin = adminPrincipal('berth')

  test('may do everything to every repository, and gets what was asked, in that order', () => {
    assert.deepEqual(granted(admin, 'repository', 'a', '*'), repositoryActions)
    assert.deepEqual(granted(admin, 'repository', '*', 'pull', '*'), repositoryActions)
    assert.deepEqual(granted(admin, 'repository', 'a', 'push', 'pull'), ['push', 'pull'])
    assert.deepEqual(granted(admin, 'repository', 'a'), [])
  })

  test('gets nothing that does not exist', () => {
    assert.deepEqual(granted(admin, 'repository', 'a', 'pull', 'fly'), ['pull'])
    assert.deepEqual(granted(admin, 'spaceship', 'a', '*'), [])
    for (const type of ['toString', 'constructor', '__proto__']) {
      assert.deepEqual(granted(admin, type, 'a', '*'), [])
      assert.deepEqual(granted(admin, type, 'a', 'pull'), [])
    }
    assert.deepEqual(granted(admin, 'repository', 'a', 'constructor', '__proto__'), [])
    assert.deepEqual(granted(admin, 'registry', 'None', '*'), [])
    assert.deepEqual(granted(admin, 'registry', 'catalog', 'pull'), [])
  })

  test('lists the registry', () => {
    assert.deepEqual(granted(admin, 'registry', 'catalog', '*'), ['*'])
    assert.deepEqual(granted(admin, 'registry', 'deleted_catalog', '*'), ['*'])
  })

  test('may use the names that older clients have for actions', () => {
    assert.deepEqual(granted(admin, 'repository', 'a', 'metadataRead', 'metadataWrite'), [
      'metadata_read',
      'metadata_write',
    ])
  })
})

describe('anybody', () => {
  test('may pull and list tags, and nothing else', () => {
    assert.deepEqual(granted(anonymousPrincipal, 'repository', 'a', '*'), ['pull', 'metadata_read'])
    assert.deepEqual(granted(anonymousPrincipal, 'repository', 'a', 'push', 'pull', 'delete'), ['pull'])
    assert.deepEqual(granted(anonymousPrincipal, 'registry', 'catalog', '*'), [])
    assert.deepEqual(granted(anonymousPrincipal, 'artifact-repository', 'a', '*'), [])
  })
})
