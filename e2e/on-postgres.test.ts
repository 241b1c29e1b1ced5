/** What most of a registry's life passes through, once more on PostgreSQL; all tests run on it with `DB=postgres npm test`. */
import { test } from 'node:test'
import { postgresSkip } from '../server/test/postgres.ts'
import { runRouteTests } from './test-run.ts'

const files = [
  'server/src/planes/distribution/lists.test.ts',
  'server/src/planes/distribution/manifests.test.ts',
  'server/src/planes/distribution/nul-characters.test.ts',
  'server/src/planes/distribution/uploads.test.ts',
  'server/src/core/access/signing-keys.test.ts',
  'server/src/core/directory/founding.test.ts',
  'server/src/core/registry/uploads.test.ts',
]

const isDone = process.env.DB === 'postgres' && 'all of them run on PostgreSQL already'

test('route tests pass on PostgreSQL too', { skip: postgresSkip || isDone, timeout: 600_000 }, (t) => {
  const wrapper = ['server/test/with-postgres.ts', process.execPath]
  runRouteTests(t, files, { env: { DB: 'postgres' }, moreThan: 150, wrapper })
})
