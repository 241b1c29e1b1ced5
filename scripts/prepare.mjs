// Makes a fresh clone able to run: installs node_modules when they do not fit, and finds the pinned Node.
// Runs on Node 18 and later, without dependencies.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withInstallLock } from './install-lock.mjs'
import { findHandMadeInstallation, readStamp, readWanted, removeStamp, writeStamp } from './installed.mjs'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const neededNode = 26
const progressMs = 3_000

/** A reason to stop that the person at the terminal can act on; printed without a stack trace. */
export class PrepareError extends Error {}

/**
 * Installs the dependencies unless they are there and fit. `development`: with the packages that tests and checks need.
 * Returns the path of a Node 26 binary. Progress goes to standard error, so that a command's output stays clean.
 */
export async function prepare({ development }) {
  const wanted = readWanted(root)
  if (wanted !== undefined && !isInstalled(wanted, readStamp(root), development)) await installOnce(wanted, development)
  return findNode()
}

function isInstalled(wanted, stamp, development) {
  return stamp !== undefined && stamp.fingerprint === wanted.fingerprint && (stamp.development || !development)
}

async function installOnce(wanted, development) {
  const onWait = () => say('another process is installing the dependencies; waiting for it')
  await withInstallLock(join(root, '.cache', 'install.lock'), onWait, async () => {
    const stamp = readStamp(root) ?? findHandMadeInstallation(root, wanted)
    if (isInstalled(wanted, stamp, development)) return writeStamp(root, stamp)
    const withDevelopment = development || stamp?.development === true
    say(`installing the dependencies${withDevelopment ? ', with those for tests,' : ''} (${reason(wanted, stamp)})`)
    removeStamp(root)
    await npmCi(withDevelopment)
    writeStamp(root, { fingerprint: wanted.fingerprint, development: withDevelopment })
  })
}

function reason(wanted, stamp) {
  if (!existsSync(join(root, 'node_modules'))) return 'first start'
  if (stamp === undefined) return 'what is in node_modules does not fit package-lock.json'
  if (stamp.fingerprint !== wanted.fingerprint) return 'package.json or package-lock.json has changed'
  return 'the packages for tests are missing'
}

async function npmCi(development) {
  const [command, ...args] = npmCommand()
  args.push('ci', development ? '--include=dev' : '--omit=dev', '--include=optional', '--no-audit', '--no-fund')
  const options = { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' }
  const npm = spawn(command, args, { ...options, env: { ...process.env, npm_config_loglevel: 'warn' } })
  const output = []
  for (const stream of [npm.stdout, npm.stderr]) stream.on('data', (chunk) => output.push(chunk))

  const startedAt = Date.now()
  const seconds = () => Math.round((Date.now() - startedAt) / 1_000)
  const progress = setInterval(() => say(`  ${seconds()} s, ${countPackages()} packages unpacked so far`), progressMs)
  const stopped = stopOnSignal(npm)
  const failure = await new Promise((resolve) => {
    npm.on('error', (error) => resolve(`npm could not be started: ${error.message}`))
    npm.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : `npm ci failed with ${signal ?? `code ${code}`}`),
    )
  })
  clearInterval(progress)
  stopped.dispose()
  if (stopped.exitCode !== undefined) process.exit(stopped.exitCode)
  if (failure !== undefined) {
    process.stderr.write(Buffer.concat(output))
    throw new PrepareError(`${failure}. Its output is above; nothing was started.`)
  }
  say(`  ${countPackages()} packages installed in ${seconds()} s`)
}

/** The npm that runs us, if one does: it works where `npm` is not on the PATH, and on Windows without a shell script. */
function npmCommand() {
  const { npm_execpath: cli, npm_node_execpath: node } = process.env
  if (cli?.endsWith('npm-cli.js') && existsSync(cli)) return [node && existsSync(node) ? node : process.execPath, cli]
  return ['npm']
}

function countPackages() {
  try {
    const names = readdirSync(join(root, 'node_modules')).filter((name) => !name.startsWith('.'))
    const scoped = names.filter((name) => name.startsWith('@') && name !== '@berth')
    const inScopes = scoped.flatMap((scope) => readdirSync(join(root, 'node_modules', scope)))
    return names.filter((name) => !name.startsWith('@')).length + inScopes.length
  } catch {
    return 0 // npm is moving folders at this moment
  }
}

/** Ctrl-C during an installation: npm is ended first, then the caller exits with the returned code. */
function stopOnSignal(child) {
  const stopped = { exitCode: undefined, dispose: () => {} }
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }
  const listeners = Object.entries(codes).map(([signal, exitCode]) => {
    const listener = () => {
      stopped.exitCode = exitCode
      child.kill(signal)
    }
    process.on(signal, listener)
    return [signal, listener]
  })
  stopped.dispose = () => {
    for (const [signal, listener] of listeners) process.removeListener(signal, listener)
  }
  return stopped
}

function findNode() {
  if (Number.parseInt(process.versions.node, 10) >= neededNode) return process.execPath
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const binary = join('bin', process.platform === 'win32' ? 'node.exe' : 'node')
  const local = join(root, 'node_modules', name, binary)
  if (existsSync(local)) return local
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), binary)
  } catch {
    throw new PrepareError(
      `Berth needs Node ${neededNode} or later, and this is Node ${process.versions.node}. It brings its own Node for ` +
        `linux-x64, linux-arm64 and win-x64, but not for ${process.platform}-${process.arch}: install Node ${neededNode} ` +
        'from https://nodejs.org and run this command again.',
    )
  }
}

function say(line) {
  process.stderr.write(`berth: ${line}\n`)
}
