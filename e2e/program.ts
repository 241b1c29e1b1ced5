/** The program itself: how it is started, what it says, how it ends. For stories about registries see `berth.ts`. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Bootstrap } from './berth.ts'
import { repositoryFolder } from './clients/folders.ts'
import { type ProcessGroup, startProcessGroup } from './process-group.ts'
import type { Answer } from './registry.ts'

export interface Program extends ProcessGroup {
  readonly port: number
  readonly bootstrap: Bootstrap
}

export interface ProgramOptions {
  readonly dataFolder: string
  /** Further flags of `berth start`; a free port is taken unless they name one. */
  readonly flags?: readonly string[]
  /** The only `BERTH_…` variables that it sees. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts `berth start` and waits until it says that it listens. Disposal stops it; the data folder is the caller's. */
export async function startProgram({ dataFolder, flags = [], env = {} }: ProgramOptions): Promise<Program> {
  const group = spawnBerth(['start', '--port', '0', '--data', dataFolder, ...flags], env)
  // A story that waits for ever is over for the test runner, but not for its processes.
  setTimeout(() => void group.kill(), longestMs).unref()
  await group.ready(async () => listening.test(group.stderr), 60)
  const port = Number(listening.exec(group.stderr)?.[1])
  const bootstrap = JSON.parse(await readFile(join(dataFolder, 'bootstrap.json'), 'utf8')) as Bootstrap
  return Object.assign(group, { port, bootstrap })
}

const longestMs = 100_000

const listening = /^Berth listens on (?:https?:\/\/)?\S+:(\d+) .*\n[\s\S]*^Stop with/m

/** Runs a command line that ends by itself. */
export async function runBerth(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  await using group = spawnBerth(args, env)
  const code = await Promise.race([group.exited, pause(60_000, 'still running after a minute', { ref: false })])
  // Pipes may hold more for a moment after the end.
  await pause(20)
  return { code, stdout: group.stdout, stderr: group.stderr }
}

function spawnBerth(args: readonly string[], env: Readonly<Record<string, string>>): ProcessGroup {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('BERTH_'))
  const main = join(repositoryFolder, 'cli', 'src', 'main.ts')
  return startProcessGroup(process.execPath, [main, ...args], { ...Object.fromEntries(others), ...env })
}

/** The processes that this one has started and that still run. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
    .map(Number)
}

function parentOf(pid: string): number | undefined {
  const status = readStatus(pid)
  return /^State:\tZ/m.test(status) ? undefined : Number(/^PPid:\t(\d+)/m.exec(status)?.[1])
}

/** Whether it still runs; one that has ended and is not yet buried does not. */
export function isRunning(pid: number): boolean {
  const status = readStatus(String(pid))
  return status !== '' && !/^State:\t[ZX]/m.test(status)
}

function readStatus(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return '' // ended meanwhile
  }
}

export async function until(what: string, check: () => boolean | Promise<boolean>, withinSeconds = 10): Promise<void> {
  const deadline = performance.now() + withinSeconds * 1000
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `not within ${withinSeconds} s: ${what}`)
    await pause(20)
  }
}

/** One request on a connection of its own. */
export async function fetchOnce(url: string, options: https.RequestOptions = {}, body?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? https : http).request(url, {
      agent: false,
      timeout: 10_000,
      ...options,
    })
    request.on('timeout', () => request.destroy(new Error(`no answer from ${url}`)))
    request.on('error', reject)
    request.on('response', (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part)).on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      )
    })
    request.end(body)
  })
}

export const basic = ({ username, password }: Bootstrap['registry']) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
