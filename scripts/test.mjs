// `npm test [-- filter…]`: every test. `--unit`: only those beside the sources, without real clients.
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

const folders = ['oci', 'server', 'cli', ...(unit ? [] : ['e2e', 'campaigns', 'bench'])]
const all = folders.flatMap((folder) => testFiles(folder))
const files = all.filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
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
