/** A check goes through large tables in pages, each a range of an index, so that no statement grows with what is stored. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { at, dayMs, once, processOn } from '../../../../test/core.ts'
import { anImage, anIndex } from '../../../../test/images.ts'
import { recordStatements } from '../../../../test/statements.ts'
import { openMemoryBlobStore } from '../../../backends/blobs/memory.ts'
import { openSqlite } from '../../../backends/db/sqlite.ts'
import { manualClock } from '../../../base/clock.ts'
import { createIntegrityChecker } from './check.ts'
import { createScrubber } from './scrub.ts'

const folder = mkdtempSync(join(tmpdir(), 'berth-check-no-scan-'))
after(() => rmSync(folder, { recursive: true }))

test('a check and the scrubber read by indexes only, a page at a time', async (t) => {
  const file = join(folder, 'berth.db')
  const clock = manualClock()
  const db = await openSqlite({ file, clock })
  const store = openMemoryBlobStore(clock)
  const { registry } = processOn(db, store, clock)
  const inspector = new DatabaseSync(file)
  inspector.exec(`insert into registries values (1, 'berth', 'Premium', 1, 0, 1, 'then')`)
  const { config, layers, manifest } = anImage()
  for (const { digest, bytes } of [config, ...layers]) await registry.pushBlob(at('a'), digest, once(bytes))
  const index = anIndex([manifest])
  for (const { mediaType, bytes } of [manifest, index]) {
    await registry.putManifest(at('a'), { tag: 'v1' }, mediaType, bytes)
  }
  const { session: unfinished } = await registry.startUpload(at('a'))
  await registry.appendToUpload(at('a'), unfinished, { bytes: once(config.bytes) })
  clock.advance(30 * dayMs)
  // Everything is wrong once, so that second looks are among the statements.
  inspector.exec(`
    update blobs set unlinked_since = 'then';
    update repository_blobs set unused_since = 'then';
    update manifests set image_size = 1;
    update registry_blobs set links = 9;
    update repository_usage set blob_bytes = 9;
    update registry_usage set blob_bytes = 9;
    update repositories set manifest_count = 9;
    update blobs set unlinked_since = null where digest = '${config.digest}'`)
  for await (const { session } of store.listSessions()) await store.abort(session)
  await store.append(await store.begin(), 0, once(config.bytes))
  clock.advance(2 * dayMs)

  const statements = recordStatements(t)
  const checker = createIntegrityChecker(db, store, clock)
  const kinds = new Set<string>()
  for await (const { kind } of checker.check({ uploadExpiryMs: dayMs })) kinds.add(kind)
  assert.ok(kinds.size >= 8, [...kinds].join(', '))
  const signal = new AbortController().signal
  const scrubbed = await Array.fromAsync(
    createScrubber(db, store, clock).scrub({ periodMs: 30 * dayMs, signal, wait: async () => undefined }),
  )
  assert.equal(scrubbed.length, 1)

  const queries = [...statements].filter((sql) => sql.startsWith('select'))
  assert.ok(queries.length > 25, `${queries.length} queries`)
  const details = queries.flatMap((sql) =>
    inspector
      .prepare(`explain query plan ${sql}`)
      .all()
      .map(({ detail }) => ({ sql, detail: String(detail) })),
  )
  const scans = details.filter(({ detail }) =>
    /\bSCAN\b(?! (?:CONSTANT ROW|tenants|registries|registry_usage))/.test(detail),
  )
  assert.deepEqual(scans, [], 'tenants, registries and their few counters are the only tables that are read whole')
  const sorts = details.filter(({ detail }) => /TEMP B-TREE/.test(detail))
  assert.deepEqual(
    sorts.filter(({ sql }) => !/"manifest_references"\."manifest_id" in|"manifest_id" = \?/.test(sql)),
    [],
    'only what a handful of manifests names is ever sorted',
  )
  inspector.close()
  await db.dispose()
})
