import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { openTestDatabase } from '../../../test/database.ts'
import { putRows, removeRows } from './copy-rows.ts'
import { movedTables, type TableName } from './moved-tables.ts'
import type { ReadTable } from './parts.ts'
import { columnsOf, type Row } from './rows.ts'

suite('rows of the target', () => {
  const times = { created_at: 'then', updated_at: 'then' }

  async function opened(t: { after(fn: () => Promise<void>): void }) {
    const db = await openTestDatabase()
    t.after(() => db.dispose())
    const columns = await columnsOf(db)
    const table = (name: TableName): ReadTable => {
      const moved = movedTables.find((one) => one.name === name)!
      return { ...moved, columns: columns.get(name)!, reading: { ...moved, columns: columns.get(name)! } }
    }
    const put = (name: TableName, rows: readonly Row[]) => db.write((tables) => putRows(tables, table(name), rows))
    const remove = (name: TableName, rows: readonly Row[]) =>
      db.write((tables) => removeRows(tables, table(name), rows))
    const registry = { sku: 'Premium', admin_user_enabled: 1, anonymous_pull_enabled: 0, sparse_manifests_enabled: 0 }
    await put('registries', [{ id: 7, name: 'berth', ...registry, created_at: 'then' }])
    const repositories = () =>
      db.read((tables) => tables.selectFrom('repositories').select(['id', 'name']).orderBy('id').execute())
    return { put, remove, repositories }
  }

  const repository = (id: number, name: string, registry_id = 7): Row => ({
    ...{ id, name, registry_id, manifest_count: 0 },
    ...times,
  })

  test('one whose parent is not there yet is left for the next round', async (t) => {
    const { put, repositories } = await opened(t)
    assert.equal(await put('repositories', [repository(1, 'a'), repository(2, 'b', 8), repository(3, 'c')]), 2)
    assert.deepEqual(await repositories(), [
      { id: 1, name: 'a' },
      { id: 3, name: 'c' },
    ])
  })

  test('one that is there gets its new values', async (t) => {
    const { put, repositories } = await opened(t)
    await put('repositories', [repository(1, 'a'), repository(2, 'b')])
    await put('repositories', [repository(2, 'c')])
    assert.deepEqual(await repositories(), [
      { id: 1, name: 'a' },
      { id: 2, name: 'c' },
    ])
  })

  test('hundreds go at once, by keys of one column and of several', async (t) => {
    const { put, remove, repositories } = await opened(t)
    const many = Array.from({ length: 730 }, (_, i) => repository(i + 1, `r${i}`))
    await put('repositories', many)
    const usage = many.map(({ id }) => ({ repository_id: id, shard: 3, blob_bytes: 0, manifest_bytes: 0 }))
    assert.equal(await put('repository_usage', usage), 730)
    await remove('repository_usage', usage.slice(0, 250))
    await remove('repositories', many.slice(0, 729))
    assert.deepEqual(await repositories(), [{ id: 730, name: 'r729' }])
    assert.equal(await put('repository_usage', usage), 1)
  })
})
