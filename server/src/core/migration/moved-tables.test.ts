import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, suite, test } from 'node:test'
import { numberedTables } from '../../backends/db/last-ids.ts'
import { openSqlite } from '../../backends/db/sqlite.ts'
import { bodyColumns } from './copy-manifests.ts'
import { movedTables, stayingTables } from './moved-tables.ts'

suite('what moves', () => {
  let folder: string
  let db: DatabaseSync
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-tables-'))
    await (await openSqlite({ file: join(folder, 'berth.db') })).dispose()
    db = new DatabaseSync(join(folder, 'berth.db'), { readOnly: true })
  })
  after(() => {
    db.close()
    rmSync(folder, { recursive: true })
  })

  const all = (query: string): Record<string, unknown>[] => db.prepare(query).all()
  const tables = () =>
    all("select name, sql from sqlite_master where type = 'table'").filter(
      ({ name }) => !/^(sqlite|kysely)_/.test(String(name)),
    )

  test('is every table of the schema but those that stay for a reason', () => {
    const named = [...movedTables.map(({ name }) => name), ...Object.keys(stayingTables)]
    assert.deepEqual(
      named.toSorted(),
      tables()
        .map(({ name }) => name)
        .toSorted(),
    )
  })

  test('has the keys of the schema', () => {
    for (const { name, key } of movedTables) {
      const columns = all(`select name from pragma_table_info('${name}') where pk > 0 order by pk`)
      assert.deepEqual(
        key,
        columns.map((column) => column.name),
        name,
      )
    }
  })

  test('comes after what it refers to', () => {
    const done = new Set<unknown>()
    for (const { name, parents } of movedTables) {
      const references = all(`select "from", "table", "to" from pragma_foreign_key_list('${name}')`)
      assert.deepEqual(parents, Object.fromEntries(references.map(({ from, table }) => [from, table])), name)
      for (const { table, to } of references) {
        assert.ok(done.has(table), `${name} before ${table}`)
        assert.equal(to, 'id')
      }
      done.add(name)
    }
  })

  test('with the tables whose ids are given out in order', () => {
    const numbered = tables().filter(({ sql }) => /autoincrement/i.test(String(sql)))
    assert.deepEqual([...numberedTables], numbered.map(({ name }) => name).toSorted())
  })

  test('with columns of manifests that are too large to be compared', () => {
    const columns = all("select name from pragma_table_info('manifests')").map(({ name }) => name)
    for (const column of bodyColumns) assert.ok(columns.includes(column), column)
  })
})
