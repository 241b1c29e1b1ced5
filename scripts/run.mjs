// Runs a program of this project on the pinned Node, as if it had been started itself.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PrepareError, prepare, root } from './prepare.mjs'

/** Saves every start, and every worker process, from translating TypeScript again: half the time and 20 MB each. */
export const compileCache = join(root, '.cache', 'node-compile')

/**
 * Prepares, then runs the command line with `args`. On Node 26 and later it runs in this very process, else in a child
 * that gets our streams and signals. Does not return before it has ended.
 */
export async function runBerth(args) {
  const node = await prepareOrExit({ development: false })
  const main = join(root, 'cli', 'src', 'main.ts')
  if (node === process.execPath) {
    whenNpmIsKilled(() => process.kill(process.pid, 'SIGTERM'))
    process.argv.splice(1, process.argv.length, main, ...args)
    await import(pathToFileURL(main).href)
  } else {
    process.exit(await run(node, [main, ...args]))
  }
}

export async function prepareOrExit(options) {
  try {
    return await prepare(options)
  } catch (error) {
    if (!(error instanceof PrepareError)) throw error
    process.stderr.write(`berth: ${error.message}\n`)
    process.exit(1)
  }
}

/** Runs a program and returns its exit code; 128 plus the signal's number when one ended it. */
export function run(command, args, options = {}) {
  const child = spawn(command, args, { stdio: 'inherit', ...options })
  whenNpmIsKilled(() => child.kill('SIGTERM'))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    process.on(signal, () => {
      // A terminal's Ctrl-C reaches the child too; a second copy would mean "stop at once" to it.
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      child.kill(signal)
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

/**
 * npm runs us through a shell and hands a SIGTERM to that shell only, which dies of it and leaves us behind as an orphan.
 * So the end of our parent counts as SIGTERM, but only under npm: `node scripts/start.mjs &` may outlive its shell.
 */
function whenNpmIsKilled(stop) {
  if (process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    stop()
  }, 250)
  watch.unref()
}
