/** What SQLite is asked. */
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'

/** The text of everything that is prepared from now on. */
export function recordStatements(t: TestContext): ReadonlySet<string> {
  const seen = new Set<string>()
  const prepare = DatabaseSync.prototype.prepare
  t.mock.method(DatabaseSync.prototype, 'prepare', function (this: DatabaseSync, sql: string) {
    if (!sql.startsWith('explain')) seen.add(sql)
    return prepare.call(this, sql)
  })
  return seen
}
