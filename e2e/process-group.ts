/** Programs that run beside a test: started as the head of their own process group, and never left behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

export interface ProcessGroup extends AsyncDisposable {
  readonly pid: number
  /** What it wrote so far: the last 64 KiB. */
  readonly log: string
  /** The same, of one stream alone. */
  readonly stdout: string
  readonly stderr: string
  /** Resolves when its head has ended: with the exit code, or with the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>
  /** To its head alone. */
  signal(name: NodeJS.Signals): void
  /** Waits until the check holds; else ends the program and throws what it wrote. */
  ready(check: () => Promise<boolean>, withinSeconds: number): Promise<void>
  /** Asks it to end, and ends the whole group if that takes longer than ten seconds. */
  stop(): Promise<void>
  /** Ends the whole group at once, as a power cut would. */
  kill(): Promise<void>
}

const logCharacters = 64 << 10
const running = new Set<ChildProcess>()

export function startProcessGroup(
  command: string,
  argumentList: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ProcessGroup {
  endAllWithThisProcess()
  // What is said of it may be kept, such as in the results of a benchmark, and is not about this machine.
  const name = basename(command)
  const child = spawn(command, argumentList, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  const written = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-logCharacters)
      written[stream] = (written[stream] + text).slice(-logCharacters)
    })
  }
  running.add(child)
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    const over = (result: number | NodeJS.Signals) => {
      running.delete(child)
      resolve(result)
    }
    child.on('exit', (code, signal) => over(code ?? signal ?? 1))
    child.on('error', (error) => {
      log += `${error}\n`
      over(127)
    })
  })
  const kill = async () => {
    killGroup(child)
    await exited
  }
  const stop = async () => {
    if (!running.has(child)) return
    child.kill('SIGTERM')
    const timer = setTimeout(() => killGroup(child), 10_000)
    await exited
    clearTimeout(timer)
  }
  return {
    get pid() {
      if (child.pid === undefined) throw new Error(`${name} did not start: ${log}`)
      return child.pid
    },
    get log() {
      return log
    },
    get stdout() {
      return written.stdout
    },
    get stderr() {
      return written.stderr
    },
    exited,
    signal: (name) => void child.kill(name),
    async ready(check, withinSeconds) {
      const deadline = performance.now() + withinSeconds * 1000
      while (!(await check())) {
        const isOver = !running.has(child)
        if (isOver || performance.now() > deadline) {
          await kill()
          const what = isOver
            ? `ended with ${await exited} before it was ready`
            : `did not get ready within ${withinSeconds} s`
          throw new Error(`${name} ${what}:\n${log}`)
        }
        await pause(20)
      }
    },
    kill,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

let armed = false
function endAllWithThisProcess(): void {
  if (armed) return
  armed = true
  process.on('exit', () => {
    for (const child of running) killGroup(child)
  })
  // The test runner ends a file that takes too long with SIGTERM, which by itself skips the `exit` event.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}

/** Resident memory of a process and everything below it, in bytes: now, and the sum of each one's own highest. */
export function memoryOfTree(pid: number): { resident: number; highest: number } {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = /^PPid:\s+(\d+)/m.exec(readStatus(Number(name)))?.[1]
    if (parent) parents.set(Number(name), Number(parent))
  }
  const isBelow = (candidate: number): boolean =>
    candidate === pid || (parents.has(candidate) && isBelow(parents.get(candidate)!))
  const sum = { resident: 0, highest: 0 }
  for (const candidate of parents.keys()) {
    if (!isBelow(candidate)) continue
    const status = readStatus(candidate)
    sum.resident += kibibytes(status, 'VmRSS') * 1024
    sum.highest += kibibytes(status, 'VmHWM') * 1024
  }
  return sum
}

const kibibytes = (status: string, key: string) =>
  Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return '' // ended meanwhile
  }
}
