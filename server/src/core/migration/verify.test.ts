import assert from 'node:assert/strict'
import { afterEach, beforeEach, suite, test } from 'node:test'
import { openTestDatabase } from '../../../test/database.ts'
import type { Database } from '../../backends/db/database.ts'
import { writeLastId } from '../../backends/db/last-ids.ts'
import { MigrationError } from './migration-error.ts'
import type { Parts } from './parts.ts'
import { verifyRows } from './verify.ts'

let source: Database
let target: Database
beforeEach(async () => {
  ;[source, target] = [await openTestDatabase(), await openTestDatabase()]
  for (const db of [source, target]) {
    await db.write(async (tables) => {
      const rows = Array.from({ length: 1_200 }, (_, i) => ({ digest: `sha256:${i}`, size: i, created_at: 'then' }))
      for (const some of [rows.slice(0, 600), rows.slice(600)]) await tables.insertInto('blobs').values(some).execute()
      const sealed = Buffer.from([1, 2, 3])
      const key = { kid: 'k', algorithm: 'RS256' as const, public_key: '{}', sealed_private_key: sealed }
      await tables
        .insertInto('signing_keys')
        .values({ ...key, created_at: '', retires_at: '', expires_at: '' })
        .execute()
    })
  }
})
afterEach(async () => {
  await source.dispose()
  await target.dispose()
})

const readings = [
  { name: 'blobs', key: ['digest'], columns: ['digest', 'size', 'damaged_at'] },
  { name: 'signing_keys', key: ['kid'], columns: ['kid', 'sealed_private_key'] },
] as const

function verify(): Promise<ReadonlyMap<string, number>> {
  const tables = readings.map((reading) => ({ ...reading, parents: {}, reading }))
  const parts = {
    source: { db: source },
    target: { db: target },
    tables,
    hold: new AbortController(),
    tell: () => undefined,
  }
  return verifyRows(parts as unknown as Parts)
}

const names = (what: RegExp) => (error: unknown) => error instanceof MigrationError && what.test(error.message)

suite('the proof that two databases hold the same', () => {
  test('counts the rows', async () => {
    assert.deepEqual(
      [...(await verify())],
      [
        ['blobs', 1_200],
        ['signing_keys', 1],
      ],
    )
  })

  test('fails for a row too few or too many', async () => {
    await target.write((tables) => tables.deleteFrom('blobs').where('digest', '=', 'sha256:7').execute())
    await assert.rejects(verify(), names(/: blobs \(1200 rows in the source, 1199 in the target\)$/))
  })

  test('fails for another value, also of bytes and of null', async () => {
    await target.write((tables) =>
      tables.updateTable('blobs').set({ size: 8 }).where('digest', '=', 'sha256:7').execute(),
    )
    await target.write((tables) =>
      tables
        .updateTable('signing_keys')
        .set({ sealed_private_key: Buffer.from([1, 2, 4]) })
        .execute(),
    )
    await assert.rejects(verify(), names(/: blobs \(other values\), signing_keys \(other values\)$/))
    await source.write((tables) =>
      tables.updateTable('blobs').set({ size: 8 }).where('digest', '=', 'sha256:7').execute(),
    )
    await target.write((tables) =>
      tables.updateTable('blobs').set({ damaged_at: '' }).where('digest', '=', 'sha256:7').execute(),
    )
    await assert.rejects(verify(), names(/blobs \(other values\)/))
  })

  test('fails where ids would be given out anew', async () => {
    await source.write((tables) => writeLastId(tables, 'manifests', 12))
    await assert.rejects(verify(), names(/: the last id of manifests \(12 in the source, 0 in the target\)$/))
    await target.write((tables) => writeLastId(tables, 'manifests', 12))
    await verify()
  })
})
