/** The real program on a data folder of its own: started as a user starts it, killed as a power cut does. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isHealthy } from '../e2e/berth.ts'
import { databaseFlags } from '../server/test/database.ts'
import { freePort } from '../server/test/free-port.ts'

export const projectFolder = resolve(import.meta.dirname, '..')
export const cliMain = join(projectFolder, 'cli', 'src', 'main.ts')

export interface Program extends AsyncDisposable {
  readonly port: number
  /** `localhost:<port>`. */
  readonly host: string
  readonly dataFolder: string
  /** What every command needs to meet the same data. */
  readonly dataFlags: readonly string[]
  /** The folder above the data folder, which nobody but the test may change. */
  readonly parentFolder: string
  /** The first process, which is also the name of the process group. */
  readonly pid: number
  /** PEM. */
  readonly ca: string
  readonly username: string
  readonly password: string
  /** All that every start has written so far. */
  readonly log: string
  start(): Promise<void>
  /** SIGKILL to every process at once. */
  killAll(): Promise<void>
  /** SIGTERM to the first process; its exit code, or the signal that ended it. */
  terminate(): Promise<number | string>
}

export interface ProgramOptions {
  readonly workers: number
  readonly flags?: readonly string[]
  /** What is started; the flags are added, after the word `start` unless that is in it already. */
  readonly command?: readonly string[]
  readonly startWord?: boolean
}

const groups = new Set<ChildProcess>()
let watching = false

/** A process group of ours must not outlive us, whatever ends us. */
function endGroupsWithUs(): void {
  if (watching) return
  watching = true
  process.on('exit', () => {
    for (const child of groups) killGroup(child)
  })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Not started yet. Disposal ends it and removes its data. */
export async function prepareProgram({
  workers,
  flags = [],
  command,
  startWord = true,
}: ProgramOptions): Promise<Program> {
  endGroupsWithUs()
  const parentFolder = await mkdtemp(join(tmpdir(), 'berth-campaign-'))
  const dataFolder = join(parentFolder, 'data')
  const home = join(parentFolder, 'home')
  await mkdir(home)
  const database = await databaseFlags()
  const dataFlags = ['--data', dataFolder, ...database.flags]
  const port = await freePort()
  const [executable = process.execPath, ...first] = command ?? [process.execPath, cliMain]
  const options = [
    ...(startWord ? ['start'] : []),
    ...['--port', String(port), ...dataFlags, '--domain', 'localhost'],
    ...['--host', '127.0.0.1', '--workers', String(workers), '--log-level', 'warn', ...flags],
  ]
  let log = ''
  let child: ChildProcess | undefined
  let exited: Promise<number | string> = Promise.resolve(0)
  let bootstrap = { registry: { username: '', password: '' }, caCertificate: '' }
  let ca = ''

  async function start(): Promise<void> {
    const started = spawn(executable, [...first, ...options], {
      cwd: parentFolder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    })
    child = started
    groups.add(started)
    for (const stream of [started.stdout, started.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log += text
      })
    }
    let over = false
    exited = once(started, 'exit').then(([code, signal]) => {
      over = true
      return (code ?? signal) as number | string
    })
    const deadline = performance.now() + 60_000
    while (!(await isHealthy(port))) {
      if (over || performance.now() > deadline) {
        killGroup(started)
        throw new Error(`the program did not become ready:\n${log.slice(-4000)}`)
      }
      await pause(5)
    }
    bootstrap = JSON.parse(await readFile(join(dataFolder, 'bootstrap.json'), 'utf8')) as typeof bootstrap
    ca = await readFile(bootstrap.caCertificate, 'utf8')
  }

  async function killAll(): Promise<void> {
    if (child === undefined) return
    killGroup(child)
    await exited
    await groupIsGone(child.pid!)
    groups.delete(child)
  }

  return {
    port,
    host: `localhost:${port}`,
    dataFolder,
    dataFlags,
    parentFolder,
    get pid() {
      if (child?.pid === undefined) throw new Error('the program was not started')
      return child.pid
    },
    get ca() {
      return ca
    },
    get username() {
      return bootstrap.registry.username
    },
    get password() {
      return bootstrap.registry.password
    },
    get log() {
      return log
    },
    start,
    killAll,
    async terminate() {
      if (child === undefined) return 0
      child.kill('SIGTERM')
      const code = await exited
      await groupIsGone(child.pid!)
      groups.delete(child)
      return code
    },
    async [Symbol.asyncDispose]() {
      await killAll()
      await database[Symbol.asyncDispose]()
      await rm(parentFolder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    },
  }
}

/** Workers have the first process for a parent and are reaped by init once it is gone: that takes a moment. */
async function groupIsGone(group: number): Promise<void> {
  for (let tries = 0; tries < 2_000; tries++) {
    try {
      process.kill(-group, 0)
    } catch {
      return
    }
    if (processesOfGroup(group).length === 0) return
    await pause(2)
  }
  throw new Error(`the process group ${group} does not end`)
}

/** Living processes only; a zombie has nothing open any more. */
export function processesOfGroup(group: number): number[] {
  const found: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const fields = statOf(Number(name))
    if (fields?.[2] === String(group) && fields[0] !== 'Z') found.push(Number(name))
  }
  return found
}

/** Fields of `stat` in /proc from the state on (state, parent, group) of a process or one of its threads, while it lives. */
export function statOf(pid: number, thread?: string): string[] | undefined {
  try {
    const text = readFileSync(thread === undefined ? `/proc/${pid}/stat` : `/proc/${pid}/task/${thread}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined // ended meanwhile
  }
}

const ticksPerSecond = 100

/** What these processes have used so far; nothing of those that have ended meanwhile. */
export function processorSecondsOf(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const [user = 0, system = 0] = statOf(pid)?.slice(11, 13) ?? []
    return Number(user) + Number(system)
  })
  return ticks.reduce((sum, own) => sum + own, 0) / ticksPerSecond
}

export interface Memory {
  readonly pid: number
  /** MiB. */
  readonly resident: number
  readonly highest: number
}

/** Of every process of a group, the first process first. */
export function memoryOfGroup(group: number): Memory[] {
  return processesOfGroup(group)
    .sort((one, other) => one - other)
    .map((pid) => {
      const status = readStatus(pid)
      return { pid, resident: mebibytes(status, 'VmRSS'), highest: mebibytes(status, 'VmHWM') }
    })
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}

const mebibytes = (status: string, key: string) =>
  Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024
