/** A program that generates load: run to its end, or ended with us or when it hangs. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Finished {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number | undefined
  /** It was ended because it took longer than it may. */
  readonly hung: boolean
}

export interface RunOptions {
  readonly timeoutSeconds: number
  readonly cwd?: string
  /** Besides this process's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** Once it resolves, the program is asked to end. */
  readonly end?: Promise<unknown>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Throws only when the program cannot be started. */
export async function runProgram(
  command: string,
  argumentList: readonly string[],
  { timeoutSeconds, cwd, environment, end }: RunOptions,
): Promise<Finished> {
  const child = spawn(command, argumentList, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    ...(cwd === undefined ? {} : { cwd }),
  })
  running.add(child)
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
    })
  }
  void end?.then(() => child.kill('SIGTERM'))
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    child.kill('SIGKILL')
  }, timeoutSeconds * 1000)
  try {
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? undefined))
    })
    return { ...written, exitCode, hung }
  } finally {
    clearTimeout(timer)
    running.delete(child)
  }
}
