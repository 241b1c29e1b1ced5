/**
 * Runs a command while a PostgreSQL is there for it: `node server/test/with-postgres.ts <program> [arguments]`. The
 * command finds its address in `BERTH_TEST_POSTGRES`. Where it is not installed, root installs Debian's.
 */
import { execFileSync, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { findPostgres, startPostgres } from './postgres.ts'

function install(): void {
  if (process.getuid?.() !== 0)
    throw new Error('PostgreSQL is not installed, and only root may: apt-get install postgresql')
  process.stderr.write('berth: installing PostgreSQL (apt-get install postgresql)\n')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = (...args: string[]) =>
    execFileSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  apt('update')
  apt('install', '--yes', '--no-install-recommends', 'postgresql')
}

if (process.env.BERTH_TEST_POSTGRES === undefined && findPostgres() === undefined) install()
const postgres = process.env.BERTH_TEST_POSTGRES === undefined ? await startPostgres() : undefined
const env = postgres === undefined ? process.env : { ...process.env, BERTH_TEST_POSTGRES: postgres.urlOf('postgres') }
const [program = '', ...args] = process.argv.slice(2)
const child = spawn(program, args, { stdio: 'inherit', env })
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.removeAllListeners(signal).on(signal, () => child.kill(signal))
}
const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
  child.on('error', reject)
  child.on('exit', (...how) => resolve(how))
})
await postgres?.[Symbol.asyncDispose]()
process.exitCode = code ?? 128 + constants.signals[signal ?? 'SIGTERM']
