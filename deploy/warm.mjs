// Run once while the image is built: starts Berth on an empty folder and uses it a little, so that Node writes down
// what it made of every source that a server loads. Node keeps that for one user id, so the server runs as that user.
//
//   node deploy/warm.mjs <user id>
import { spawn, spawnSync } from 'node:child_process'
import { chownSync, cpSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const user = Number(process.argv[2])
const root = resolve(import.meta.dirname, '..')
const main = join(root, 'cli', 'src', 'main.ts')

const folder = mkdtempSync(join(tmpdir(), 'warm-'))
chownSync(folder, user, user)
const cache = join(folder, 'cache')
const data = join(folder, 'data')
const config = join(folder, 'berth.yaml')
writeFileSync(config, 'http: yes\nhost: 127.0.0.1\nport: 0\nlog-format: json\n')
const options = { uid: user, gid: user, env: { ...process.env, NODE_COMPILE_CACHE: cache } }

// One process has other files than several; back ends on other machines are loaded only where they are configured.
for (const workers of ['1', '2']) await serveOnce(workers)
const backends = globSync('server/src/backends/*/*.ts', { cwd: root }).map((file) => pathToFileURL(join(root, file)))
run('-e', backends.map(({ href }) => `await import('${href}')`).join('\n'))
mkdirSync(join(root, '.cache'))
cpSync(cache, join(root, '.cache', 'node-compile'), { recursive: true })
rmSync(folder, { recursive: true })

async function serveOnce(workers) {
  const flags = ['--config', config, '--data', data, '--workers', workers]
  const server = spawn(process.execPath, [main, 'start', ...flags], {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise((resolve) => server.on('exit', (code, signal) => resolve(signal ?? code)))
  const port = await portOf(server, ended)
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
  if (!answer.ok) throw new Error(`GET /metrics: ${answer.status}`)
  run(main, 'health', '--data', data)
  run(main, 'password', '--data', data)
  server.kill('SIGTERM')
  const code = await ended
  if (code !== 0) throw new Error(`berth start ended with ${code}`)
}

/** Resolves with the port once the server has said that it is ready. */
async function portOf(server, ended) {
  let log = ''
  const ready = new Promise((resolve) => {
    server.stdout.on('data', (text) => {
      log += text
      const line = log.split('\n').find((text) => text.includes('"msg":"ready"'))
      if (line !== undefined) resolve(JSON.parse(line).port)
    })
  })
  const port = await Promise.race([ready, ended.then(() => undefined)])
  if (port === undefined) throw new Error(`berth start ended before it was ready:\n${log}`)
  return port
}

function run(...args) {
  const { status, stderr } = spawnSync(process.execPath, args, { ...options, encoding: 'utf8' })
  if (status !== 0) throw new Error(`node ${args.join(' ')}: exit code ${status}\n${stderr}`)
}
