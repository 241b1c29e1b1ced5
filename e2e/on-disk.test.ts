/** Route tests run on memory; here all of them run once more on the file and the folder that a server really uses. */
import { test } from 'node:test'
import { runRouteTests } from './test-run.ts'

test('every route test passes on a database file and a blob folder too', { timeout: 300_000 }, (t) => {
  runRouteTests(t, ['server/src/planes/**/*.test.ts'], { env: { BERTH_TEST_STORAGE: 'disk' }, moreThan: 400 })
})
