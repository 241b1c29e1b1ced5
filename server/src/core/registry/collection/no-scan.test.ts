/** What a collection costs must not grow with what is stored: every query of it goes by an index. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { once, processOn } from '../../../../test/core.ts'
import { recordStatements } from '../../../../test/statements.ts'
import { openMemoryBlobStore } from '../../../backends/blobs/memory.ts'
import { openSqlite } from '../../../backends/db/sqlite.ts'
import { manualClock } from '../../../base/clock.ts'
import { forgetOldFailures } from '../../access/login-throttle.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-no-scan-'))
after(() => rmSync(folder, { recursive: true }))

/** Rows that every step finds, and one step's work for the next. */
const garbage = `
  insert into registries values (1, 'berth', 'Premium', 1, 0, 1, 'then');
  insert into repositories values (1, 1, 'a', 3, 'then', 'then');
  insert into blobs (digest, size, created_at, unlinked_since) values
    ('sha256:${'1'.repeat(64)}', 5, 'then', null), ('sha256:${'2'.repeat(64)}', 6, 'then', '2020');
  insert into repository_blobs values (1, 'sha256:${'1'.repeat(64)}', 'then', '2020');
  insert into registry_blobs values (1, 'sha256:${'1'.repeat(64)}', 1);
  insert into manifests values
    (1, 1, 'sha256:${'3'.repeat(64)}', 'm', 1, 1, null, null, null, null, null, null, 'then', 'then', x'7b'),
    (2, 1, 'sha256:${'4'.repeat(64)}', 'm', 1, 1, null, null, null, null, 'sha256:${'3'.repeat(64)}', null, 'then', 'then', x'7b'),
    (3, 1, 'sha256:${'5'.repeat(64)}', 'm', 1, 1, null, null, null, null, 'sha256:${'6'.repeat(64)}', null, 'then', 'then', x'7b');
  insert into manifest_references values
    (1, 'layer', 'sha256:${'7'.repeat(64)}', 1), (1, 'child', 'sha256:${'8'.repeat(64)}', 1);
  insert into unneeded_manifests values (1, '2020');
  insert into deleted_subjects values (1, 'sha256:${'6'.repeat(64)}', 9);
  insert into upload_sessions values
    ('u', 1, 'a', 's', 1, 'sha256:${'9'.repeat(64)}', null, null, '2020', '2020');
  insert into login_failures values ('address:a', 3, '2020');`

test('a collection reads and writes by indexes only', async (t) => {
  const file = join(folder, 'berth.db')
  const clock = manualClock()
  const db = await openSqlite({ file, clock })
  const inspector = new DatabaseSync(file)
  inspector.exec(garbage)
  const statements = recordStatements(t)
  const { collector, store } = processOn(db, openMemoryBlobStore(clock), clock)
  await store.append(await store.begin(), 0, once(Buffer.from('lost')))
  clock.advance(1_000)
  const options = { graceMs: 0, uploadExpiryMs: 0, untaggedMs: 0 }
  const reasons = new Set<string>()
  for await (const gone of collector.collect(options)) for (const { reason } of gone) reasons.add(reason)
  await forgetOldFailures(db, clock)
  assert.equal(reasons.size, 7, `every step had something to do: ${[...reasons].join(', ')}`)

  // `moves` has a row or two, which every transaction looks at.
  const queries = [...statements].filter((sql) => /^(?:select|insert|update|delete)(?!.* from "moves"$)/.test(sql))
  assert.ok(queries.length > 25, `${queries.length} queries`)
  const scans = queries.flatMap((sql) =>
    inspector
      .prepare(`explain query plan ${sql}`)
      .all()
      .map(({ detail }) => String(detail))
      .filter((detail) => /\bSCAN\b(?! (?:CONSTANT ROW|\(subquery|sqlite_sq))/.test(detail))
      .map((detail) => `${detail}: ${sql}`),
  )
  assert.deepEqual(scans, [])
  const sorts = queries.filter((sql) =>
    inspector
      .prepare(`explain query plan ${sql}`)
      .all()
      .some(({ detail }) => /TEMP B-TREE/.test(String(detail))),
  )
  assert.deepEqual(
    sorts.filter((sql) => !/"repository_blobs".*"repository_id" = \?/.test(sql)),
    [],
    'only a handful of rows is ever sorted',
  )
  inspector.close()
  await db.dispose()
})
