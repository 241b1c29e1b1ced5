// `npm test [-- filter…]`: every test. `--unit`: only those beside the sources, without real clients, but for the slow ones.
// A filter is a part of a file's path. Other flags go to Node's test runner: `--test-name-pattern=…`.
// `DB=postgres npm test`: the same tests on PostgreSQL, which is installed where root may, and started for them.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './prepare.mjs'
import { compileCache, prepareOrExit, run } from './run.mjs'

/** A test that hangs is to fail by its name, not to stop the whole run. */
const longestMs = 20 * 60_000

const args = process.argv.slice(2)
const unit = args.includes('--unit')
const flags = args.filter((arg) => arg.startsWith('-') && arg !== '--unit')
const filters = args.filter((arg) => !arg.startsWith('-'))

/** They need another server or take many seconds; all others together take less than a minute. */
const slow = [
  'cli/src/commands/backup.test.ts',
  'cli/src/commands/fsck.test.ts',
  'cli/src/commands/gc.test.ts',
  'cli/src/commands/health.test.ts',
  'cli/src/commands/migrate.test.ts',
  'server/src/backends/blobs/azure-blob.test.ts',
  'server/src/backends/blobs/azure-identity.test.ts',
  'server/src/backends/blobs/s3.test.ts',
  'server/src/backends/db/migrations/from-0001-postgres.test.ts',
  'server/src/backends/db/move-gate.test.ts',
  'server/src/backends/db/postgres.test.ts',
  'server/src/core/migration/elsewhere.test.ts',
  'server/src/core/migration/migrate.test.ts',
  'server/src/core/registry/collection/race.test.ts',
  'server/src/core/registry/integrity/blobs.test.ts',
  'server/src/core/registry/integrity/manifests.test.ts',
  'server/src/core/registry/integrity/storm.test.ts',
  'server/src/core/registry/listings-postgres.test.ts',
  'server/src/core/registry/usage.test.ts',
  'server/src/http/transports.test.ts',
  'server/src/start/prepare-postgres.test.ts',
]

const folders = ['oci', 'server', 'cli', ...(unit ? [] : ['e2e', 'campaigns', 'bench'])]
const all = folders.flatMap((folder) => testFiles(folder))
for (const file of slow) if (!existsSync(join(root, file))) throw new Error(`there is no ${file} any more`)
const asked = (file) => filters.length === 0 || filters.some((filter) => file.includes(filter))
const files = all.filter((file) => asked(file) && !(unit && filters.length === 0 && slow.includes(file)))
if (files.length === 0) {
  process.stderr.write(`berth: no test file's path contains ${filters.join(' or ')}\n`)
  process.exit(1)
}

const node = await prepareOrExit({ development: true })
const env = { ...process.env, NODE_COMPILE_CACHE: compileCache }
const clients = join(root, 'e2e', 'clients', 'install.ts')
if (files.some((file) => file.startsWith('e2e/')) && existsSync(clients)) {
  const code = await run(node, [clients], { cwd: root, env })
  if (code !== 0) process.exit(code)
}
const withPostgres = process.env.DB === 'postgres' ? [join(root, 'server', 'test', 'with-postgres.ts'), node] : []
process.exit(
  await run(
    node,
    [...withPostgres, '--test', '--test-concurrency=2', `--test-timeout=${longestMs}`, ...flags, ...files],
    { cwd: root, env },
  ),
)

/** Paths below the root with forward slashes, in a stable order. */
function testFiles(folder) {
  if (!existsSync(join(root, folder))) return []
  const entries = readdirSync(join(root, folder), { withFileTypes: true })
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : testFiles(path)
      return entry.name.endsWith('.test.ts') ? [path] : []
    })
}
