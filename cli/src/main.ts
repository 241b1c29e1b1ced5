/** The entry. Before anything else is loaded, Node is told where to keep what it makes of TypeScript. */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Saves every start, and every worker process, from translating all of it again: half the time and 20 MB each. In the
// project's own folder, because whoever may write the cache may run code here.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, '..', '..', '.cache', 'node-compile')
enableCompileCache(process.env.NODE_COMPILE_CACHE)

const { main } = await import('./program.ts')
process.exitCode = await main(process.argv.slice(2))
